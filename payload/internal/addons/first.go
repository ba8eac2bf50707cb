package addons

import (
	"context"
	"errors"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/kubernetes"
	"k8s.io/kubernetes/pkg/controller"
	"k8s.io/kubernetes/pkg/controller/certificates/rootcacertpublisher"
)

// StartFirst makes the first pod of a Deployment that no controller has seen yet, as they would make it, so that it
// starts while they do. The Deployment's ReplicaSet adopts it: it has the labels that the ReplicaSet will select by.
// authority is what every pod is told of the API's certificate; its ConfigMap is a controller's as well. It says whether
// there is a pod of the Deployment as it is now, so that it will run without any controller.
func StartFirst(ctx context.Context, client kubernetes.Interface, namespace, name, node string, authority []byte) (bool, error) {
	deployment, err := client.AppsV1().Deployments(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return false, err
	}
	known, err := client.CoreV1().Pods(namespace).List(ctx, selected(deployment))
	if err != nil {
		return false, err
	}
	hash := controller.ComputeHash(&deployment.Spec.Template, deployment.Status.CollisionCount)
	for _, pod := range known.Items {
		if pod.Labels[appsv1.DefaultDeploymentUniqueLabelKey] == hash {
			return true, nil
		}
	}
	if deployment.Status.ObservedGeneration > 0 || len(known.Items) > 0 {
		return false, nil
	}
	published := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: rootcacertpublisher.RootCACertConfigMapName},
		Data:       map[string]string{"ca.crt": string(authority)},
	}
	_, err = client.CoreV1().ConfigMaps(namespace).Create(ctx, published, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return false, err
	}
	_, err = client.CoreV1().Pods(namespace).Create(ctx, firstPod(deployment, hash, node), metav1.CreateOptions{})
	return err == nil, err
}

// firstPod is what the Deployment's ReplicaSet would make, on a node that is chosen already.
func firstPod(deployment *appsv1.Deployment, hash, node string) *corev1.Pod {
	template := deployment.Spec.Template.DeepCopy()
	pod := &corev1.Pod{ObjectMeta: template.ObjectMeta, Spec: template.Spec}
	pod.GenerateName = fmt.Sprintf("%s-%s-", deployment.Name, hash)
	pod.Labels[appsv1.DefaultDeploymentUniqueLabelKey] = hash
	pod.Spec.NodeName = node
	return pod
}

// DropOrphan waits until the controllers have taken over the first pod, and removes it when they have not: they have
// made another one then.
func DropOrphan(ctx context.Context, client kubernetes.Interface, namespace, name string, patience time.Duration) error {
	deployment, err := client.AppsV1().Deployments(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	for ; ; patience -= time.Second {
		pods, err := client.CoreV1().Pods(namespace).List(ctx, selected(deployment))
		if err != nil {
			return err
		}
		var problems []error
		orphans := 0
		for _, pod := range pods.Items {
			if metav1.GetControllerOf(&pod) != nil {
				continue
			}
			if orphans++; patience <= 0 {
				problems = append(problems, client.CoreV1().Pods(namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{}))
			}
		}
		if orphans == 0 || patience <= 0 {
			return errors.Join(problems...)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Second):
		}
	}
}

func selected(deployment *appsv1.Deployment) metav1.ListOptions {
	return metav1.ListOptions{LabelSelector: labels.SelectorFromSet(deployment.Spec.Selector.MatchLabels).String(), ResourceVersion: "0"}
}
