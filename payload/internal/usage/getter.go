package usage

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	statsapi "k8s.io/kubelet/pkg/apis/stats/v1alpha1"
	"k8s.io/metrics/pkg/apis/metrics"
)

// window is over which time kubelet's figures for the processors are: what passes between two of its looks.
const window = 10 * time.Second

// getter translates kubelet's figures for the API (the interface MetricsGetter of metrics-server).
type getter struct {
	summary func() (*statsapi.Summary, error)
}

// GetPodMetrics returns the figures of those pods that have some. A container that has just started has none, and then
// neither has its pod: a part of them would look like little use.
func (g getter) GetPodMetrics(pods ...*metav1.PartialObjectMetadata) ([]metrics.PodMetrics, error) {
	if len(pods) == 0 {
		return nil, nil
	}
	found, err := g.summary()
	if err != nil {
		return nil, err
	}
	known := make(map[types.NamespacedName]*statsapi.PodStats, len(found.Pods))
	for i := range found.Pods {
		ref := found.Pods[i].PodRef
		known[types.NamespacedName{Namespace: ref.Namespace, Name: ref.Name}] = &found.Pods[i]
	}
	all := make([]metrics.PodMetrics, 0, len(pods))
	for _, pod := range pods {
		stats := known[types.NamespacedName{Namespace: pod.Namespace, Name: pod.Name}]
		if stats == nil || stats.PodRef.UID != string(pod.UID) {
			continue
		}
		if one, complete := ofPod(pod, stats); complete {
			all = append(all, one)
		}
	}
	return all, nil
}

func ofPod(pod *metav1.PartialObjectMetadata, stats *statsapi.PodStats) (metrics.PodMetrics, bool) {
	found := metrics.PodMetrics{
		ObjectMeta: metav1.ObjectMeta{
			Name: pod.Name, Namespace: pod.Namespace, Labels: pod.Labels, CreationTimestamp: metav1.Now(),
		},
		Window: metav1.Duration{Duration: window},
	}
	for _, container := range stats.Containers {
		used, when, known := used(container.CPU, container.Memory)
		if !known {
			return found, false
		}
		if found.Timestamp.IsZero() || when.Before(&found.Timestamp) {
			found.Timestamp = when
		}
		found.Containers = append(found.Containers, metrics.ContainerMetrics{Name: container.Name, Usage: used})
	}
	return found, len(found.Containers) > 0
}

// GetNodeMetrics returns the node's figures.
func (g getter) GetNodeMetrics(nodes ...*corev1.Node) ([]metrics.NodeMetrics, error) {
	found, err := g.summary()
	if err != nil {
		return nil, err
	}
	var all []metrics.NodeMetrics
	for _, node := range nodes {
		used, when, known := used(found.Node.CPU, found.Node.Memory)
		if node.Name != found.Node.NodeName || !known {
			continue
		}
		all = append(all, metrics.NodeMetrics{
			ObjectMeta: metav1.ObjectMeta{Name: node.Name, Labels: node.Labels, CreationTimestamp: metav1.Now()},
			Timestamp:  when, Window: metav1.Duration{Duration: window}, Usage: used,
		})
	}
	return all, nil
}

// used returns processors in cores and memory in bytes, and when that was so. The memory is the working set, by which
// kubelet evicts.
func used(cpu *statsapi.CPUStats, memory *statsapi.MemoryStats) (corev1.ResourceList, metav1.Time, bool) {
	if cpu == nil || cpu.UsageNanoCores == nil || memory == nil || memory.WorkingSetBytes == nil {
		return nil, metav1.Time{}, false
	}
	return corev1.ResourceList{
		corev1.ResourceCPU:    *resource.NewScaledQuantity(int64(*cpu.UsageNanoCores), resource.Nano),
		corev1.ResourceMemory: *resource.NewQuantity(int64(*memory.WorkingSetBytes), resource.BinarySI),
	}, cpu.Time, true
}
