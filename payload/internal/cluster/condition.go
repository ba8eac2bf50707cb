package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

const (
	// ConfigurationProblem is the node's condition that says whether something in its configuration file does not
	// apply, as node-problem-detector would: True is bad.
	ConfigurationProblem corev1.NodeConditionType = "ConfigurationProblem"
	// longestMessage is what an event's message may have.
	longestMessage = 1000
)

// reportConfiguration tells the cluster what stage 45 of the boot has found wrong: in a condition of the node, and
// in an event. A node without a configuration file has neither.
func reportConfiguration(ctx context.Context, client kubernetes.Interface, name, runDir string) error {
	text, err := os.ReadFile(filepath.Join(runDir, "cloud-init", "problems"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	condition := configurationCondition(string(text))
	patch, err := json.Marshal(map[string]any{"status": map[string]any{"conditions": []corev1.NodeCondition{condition}}})
	if err != nil {
		return err
	}
	if _, err := client.CoreV1().Nodes().PatchStatus(ctx, name, patch); err != nil {
		return err
	}
	if condition.Status != corev1.ConditionTrue {
		return nil
	}
	now := metav1.Now()
	_, err = client.CoreV1().Events(metav1.NamespaceDefault).Create(ctx, &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{GenerateName: name + "-", Namespace: metav1.NamespaceDefault},
		InvolvedObject: corev1.ObjectReference{Kind: "Node", Name: name, APIVersion: "v1"},
		Type:           corev1.EventTypeWarning, Reason: string(ConfigurationProblem), Message: condition.Message,
		Source: corev1.EventSource{Component: "kubesolo", Host: name}, FirstTimestamp: now, LastTimestamp: now, Count: 1,
	}, metav1.CreateOptions{})
	return err
}

func configurationCondition(problems string) corev1.NodeCondition {
	now := metav1.NewTime(time.Now())
	condition := corev1.NodeCondition{
		Type: ConfigurationProblem, Status: corev1.ConditionFalse, Reason: "ConfigurationApplies",
		Message: "the configuration file applies", LastHeartbeatTime: now, LastTransitionTime: now,
	}
	if text := strings.TrimSpace(problems); text != "" {
		if len(text) > longestMessage {
			text = strings.ToValidUTF8(text[:longestMessage], "")
		}
		condition.Status, condition.Reason, condition.Message = corev1.ConditionTrue, "SeeMessage", text
	}
	return condition
}
