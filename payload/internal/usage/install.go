package usage

import (
	"net"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/client-go/informers"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"sigs.k8s.io/metrics-server/pkg/api"
)

// Kubelet is where kubelet is asked and as whom.
type Kubelet struct {
	Address net.IP
	Port    string
	TLS     rest.TLSClientConfig
}

// Install has the server serve the API; clients reach it once there is its APIService, a local one. The pods and nodes
// are those that the API server has in its memory anyway.
func Install(server *genericapiserver.GenericAPIServer, known informers.SharedInformerFactory, kubelet Kubelet) error {
	asked, err := newSummaries(kubelet.Address, kubelet.Port, kubelet.TLS)
	if err != nil {
		return err
	}
	core := known.Core().V1()
	return api.Install(getter{asked.get}, podLister{core.Pods().Lister()}, core.Nodes().Lister(), server, nil)
}

// podLister shows pods without their specifications, as the library wants them.
type podLister struct{ pods corelisters.PodLister }

// List implements cache.GenericLister.
func (l podLister) List(selector labels.Selector) ([]runtime.Object, error) {
	return metadata(l.pods.List(selector))
}

// Get implements cache.GenericLister. Pods have namespaces.
func (l podLister) Get(name string) (runtime.Object, error) {
	return l.ByNamespace(metav1.NamespaceDefault).Get(name)
}

// ByNamespace implements cache.GenericLister.
func (l podLister) ByNamespace(namespace string) cache.GenericNamespaceLister {
	return namespacedPods{l.pods.Pods(namespace)}
}

type namespacedPods struct {
	pods corelisters.PodNamespaceLister
}

// List implements cache.GenericNamespaceLister.
func (l namespacedPods) List(selector labels.Selector) ([]runtime.Object, error) {
	return metadata(l.pods.List(selector))
}

// Get implements cache.GenericNamespaceLister.
func (l namespacedPods) Get(name string) (runtime.Object, error) {
	pod, err := l.pods.Get(name)
	if err != nil {
		return nil, err
	}
	return &metav1.PartialObjectMetadata{ObjectMeta: pod.ObjectMeta}, nil
}

func metadata(pods []*corev1.Pod, err error) ([]runtime.Object, error) {
	all := make([]runtime.Object, 0, len(pods))
	for _, pod := range pods {
		all = append(all, &metav1.PartialObjectMetadata{ObjectMeta: pod.ObjectMeta})
	}
	return all, err
}
