package usage

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	statsapi "k8s.io/kubelet/pkg/apis/stats/v1alpha1"
)

// summary is what kubelet answers (k8s.io/kubelet/pkg/apis/stats/v1alpha1): a pod that runs, one whose second container
// has just started, and one of the same name as a pod that is no more.
const summary = `{
  "node": {"nodeName": "n", "cpu": {"time": "2026-01-01T00:00:10Z", "usageNanoCores": 250000000},
           "memory": {"workingSetBytes": 1048576}},
  "pods": [
    {"podRef": {"name": "a", "namespace": "ns", "uid": "1"}, "containers": [
      {"name": "x", "cpu": {"time": "2026-01-01T00:00:09Z", "usageNanoCores": 1500}, "memory": {"workingSetBytes": 10}},
      {"name": "y", "cpu": {"time": "2026-01-01T00:00:08Z", "usageNanoCores": 0}, "memory": {"workingSetBytes": 20}}]},
    {"podRef": {"name": "b", "namespace": "ns", "uid": "2"}, "containers": [
      {"name": "x", "cpu": {"time": "2026-01-01T00:00:09Z", "usageNanoCores": 1}, "memory": {"workingSetBytes": 10}},
      {"name": "y", "cpu": {"time": "2026-01-01T00:00:09Z"}, "memory": {"workingSetBytes": 20}}]},
    {"podRef": {"name": "c", "namespace": "ns", "uid": "old"}, "containers": [
      {"name": "x", "cpu": {"time": "2026-01-01T00:00:09Z", "usageNanoCores": 1}, "memory": {"workingSetBytes": 10}}]}]}`

func kubelet(t *testing.T) getter {
	t.Helper()
	return getter{func() (*statsapi.Summary, error) {
		found := &statsapi.Summary{}
		return found, json.Unmarshal([]byte(summary), found)
	}}
}

func pod(name, uid string) *metav1.PartialObjectMetadata {
	return &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{
		Name: name, Namespace: "ns", UID: types.UID(uid), Labels: map[string]string{"app": name},
	}}
}

func TestPodsWithAllTheirFigures(t *testing.T) {
	got, err := kubelet(t).GetPodMetrics(pod("a", "1"), pod("b", "2"), pod("c", "new"), pod("d", "4"))
	if err != nil || len(got) != 1 {
		t.Fatalf("%v, %v", got, err)
	}
	a := got[0]
	if a.Name != "a" || a.Labels["app"] != "a" || len(a.Containers) != 2 || a.Window.Duration != window {
		t.Errorf("%+v", a)
	}
	if oldest := time.Date(2026, 1, 1, 0, 0, 8, 0, time.UTC); !a.Timestamp.Time.Equal(oldest) {
		t.Errorf("of %v", a.Timestamp)
	}
	used := a.Containers[0].Usage
	if cpu := used[corev1.ResourceCPU]; cpu.String() != "1500n" {
		t.Errorf("processors: %s", cpu.String())
	}
	if memory := used[corev1.ResourceMemory]; memory.Value() != 10 {
		t.Errorf("memory: %s", memory.String())
	}
}

func TestTheNodesOwnFigures(t *testing.T) {
	node := func(name string) *corev1.Node { return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}} }
	got, err := kubelet(t).GetNodeMetrics(node("other"), node("n"))
	if err != nil || len(got) != 1 {
		t.Fatalf("%v, %v", got, err)
	}
	if cpu := got[0].Usage[corev1.ResourceCPU]; cpu.MilliValue() != 250 {
		t.Errorf("processors: %s", cpu.String())
	}
}

func TestASilentKubeletIsAnError(t *testing.T) {
	silent := getter{func() (*statsapi.Summary, error) { return nil, errors.New("silent") }}
	if _, err := silent.GetPodMetrics(pod("a", "1")); err == nil {
		t.Error("pods without kubelet")
	}
	if _, err := silent.GetNodeMetrics(&corev1.Node{}); err == nil {
		t.Error("nodes without kubelet")
	}
}
