package addons

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/kubernetes/pkg/controller"
	"k8s.io/kubernetes/pkg/controller/certificates/rootcacertpublisher"
	labelsutil "k8s.io/kubernetes/pkg/util/labels"
)

// FirstPod is what a Deployment begins with in a new cluster.
type FirstPod struct {
	Namespace, Deployment string
	Node                  string
	RootCA                []byte // the cluster's authority as PEM: pods get it as a ConfigMap
}

// Create makes the ReplicaSet and the pod of a Deployment that no controller has seen yet, as its controllers would, and
// binds the pod to the node: it starts while the API server still becomes ready and the controllers are not there. They
// find what they would have made. A Deployment that has been seen, or has more than one pod to make, is left to them.
func (f FirstPod) Create(ctx context.Context, client kubernetes.Interface) error {
	deployment, err := client.AppsV1().Deployments(f.Namespace).Get(ctx, f.Deployment, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil // an operator has deleted it
	}
	if err != nil {
		return err
	}
	if deployment.Status.ObservedGeneration > 0 || deployment.Spec.Replicas == nil || *deployment.Spec.Replicas != 1 {
		return nil
	}
	if err := f.publishRootCA(ctx, client); err != nil {
		return fmt.Errorf("%s: %w", rootcacertpublisher.RootCACertConfigMapName, err)
	}
	set, err := firstReplicaSet(ctx, client, deployment)
	if err != nil {
		return fmt.Errorf("ReplicaSet: %w", err)
	}
	pods := client.CoreV1().Pods(f.Namespace)
	there, err := pods.List(ctx, metav1.ListOptions{LabelSelector: metav1.FormatLabelSelector(set.Spec.Selector)})
	if err != nil || len(there.Items) > 0 {
		return err
	}
	owner := metav1.NewControllerRef(set, appsv1.SchemeGroupVersion.WithKind("ReplicaSet"))
	pod, err := controller.GetPodFromTemplate(&set.Spec.Template, set, owner)
	if err != nil {
		return err
	}
	pod.Spec.NodeName = f.Node
	_, err = pods.Create(ctx, pod, metav1.CreateOptions{})
	return err
}

// firstReplicaSet is as getNewReplicaSet of the Deployment controller makes it, but for annotations, which it adds.
func firstReplicaSet(ctx context.Context, client kubernetes.Interface, deployment *appsv1.Deployment) (*appsv1.ReplicaSet, error) {
	template := deployment.Spec.Template.DeepCopy()
	hash := controller.ComputeHash(template, deployment.Status.CollisionCount)
	template.Labels = labelsutil.CloneAndAddLabel(template.Labels, appsv1.DefaultDeploymentUniqueLabelKey, hash)
	set := &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{
			Name:      deployment.Name + "-" + hash,
			Namespace: deployment.Namespace,
			Labels:    template.Labels,
			OwnerReferences: []metav1.OwnerReference{
				*metav1.NewControllerRef(deployment, appsv1.SchemeGroupVersion.WithKind("Deployment")),
			},
		},
		Spec: appsv1.ReplicaSetSpec{
			Replicas:        deployment.Spec.Replicas,
			MinReadySeconds: deployment.Spec.MinReadySeconds,
			Selector: labelsutil.CloneSelectorAndAddLabel(
				deployment.Spec.Selector, appsv1.DefaultDeploymentUniqueLabelKey, hash,
			),
			Template: *template,
		},
	}
	sets := client.AppsV1().ReplicaSets(deployment.Namespace)
	made, err := sets.Create(ctx, set, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return sets.Get(ctx, set.Name, metav1.GetOptions{})
	}
	return made, err
}

// publishRootCA makes the ConfigMap that every pod's service account volume needs, as its controller does.
func (f FirstPod) publishRootCA(ctx context.Context, client kubernetes.Interface) error {
	published := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{
			Name:        rootcacertpublisher.RootCACertConfigMapName,
			Annotations: map[string]string{rootcacertpublisher.DescriptionAnnotation: rootcacertpublisher.Description},
		},
		Data: map[string]string{"ca.crt": string(f.RootCA)},
	}
	_, err := client.CoreV1().ConfigMaps(f.Namespace).Create(ctx, published, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}
