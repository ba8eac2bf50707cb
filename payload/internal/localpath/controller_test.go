package localpath

import (
	"context"
	"os"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
)

const deadline = time.Minute

func eventually(t *testing.T, what string, happened func() bool) {
	t.Helper()
	for end := time.Now().Add(deadline); !happened(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", deadline, what)
		}
	}
}

// The claim is as the scheduler and the controllers leave it; the fake API has neither.
func TestAClaimGetsAVolumeAndItsReleaseRemovesTheFolder(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	class := "local-path"
	late := storagev1.VolumeBindingWaitForFirstConsumer
	o := asked(corev1.ReadWriteOnce)
	o.PVC.UID = "42"
	o.PVC.Spec.StorageClassName = &class
	o.PVC.Annotations = map[string]string{"volume.kubernetes.io/storage-provisioner": Provisioner}
	client := fake.NewClientset(o.PVC, &storagev1.StorageClass{
		ObjectMeta: metav1.ObjectMeta{Name: class}, Provisioner: Provisioner, VolumeBindingMode: &late,
	})
	folder := t.TempDir()
	ended := make(chan struct{})
	go func() { defer close(ended); _ = Run(ctx, client, folder, "") }()
	defer func() { cancel(); <-ended }()
	volumes, claims := client.CoreV1().PersistentVolumes(), client.CoreV1().PersistentVolumeClaims("ns")
	time.Sleep(time.Second)
	if found, _ := volumes.List(ctx, metav1.ListOptions{}); len(found.Items) > 0 {
		t.Fatalf("made before a pod wants it: %v", found.Items)
	}
	claim := o.PVC.DeepCopy()
	claim.Annotations["volume.kubernetes.io/selected-node"] = "n"
	if _, err := claims.Update(ctx, claim, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	var volume *corev1.PersistentVolume
	eventually(t, "a volume", func() bool {
		found, err := volumes.Get(ctx, "pvc-42", metav1.GetOptions{})
		volume = found
		return err == nil
	})
	if _, err := os.Stat(volume.Spec.Local.Path); err != nil {
		t.Fatal(err)
	}
	volume.Status.Phase = corev1.VolumeReleased
	if _, err := volumes.UpdateStatus(ctx, volume, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the folder's end", func() bool {
		_, err := os.Stat(volume.Spec.Local.Path)
		return os.IsNotExist(err)
	})
}
