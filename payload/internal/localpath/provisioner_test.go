package localpath

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"
)

func asked(modes ...corev1.PersistentVolumeAccessMode) controller.ProvisionOptions {
	retain := corev1.PersistentVolumeReclaimRetain
	return controller.ProvisionOptions{
		PVName:       "pvc-1",
		StorageClass: &storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: "c"}, ReclaimPolicy: &retain},
		PVC: &corev1.PersistentVolumeClaim{
			ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "claim"},
			Spec: corev1.PersistentVolumeClaimSpec{
				AccessModes: modes,
				Resources: corev1.VolumeResourceRequirements{
					Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")},
				},
			},
		},
	}
}

// bound is the volume as the API has it once the library has stored it.
func bound(t *testing.T, p *provisioner, o controller.ProvisionOptions) *corev1.PersistentVolume {
	t.Helper()
	v, _, err := p.Provision(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	v.Spec.ClaimRef = &corev1.ObjectReference{Namespace: o.PVC.Namespace, Name: o.PVC.Name}
	return v
}

func TestAVolumeIsAFolderForEverybodyAndGoesWithAllThatIsInIt(t *testing.T) {
	base := filepath.Join(t.TempDir(), "state", "local-path")
	p := newProvisioner(base, "")
	o := asked(corev1.ReadWriteOnce)
	v := bound(t, p, o)
	path := v.Spec.Local.Path
	if path != filepath.Join(base, "pvc-1_ns_claim") || v.Spec.PersistentVolumeReclaimPolicy != corev1.PersistentVolumeReclaimRetain {
		t.Errorf("volume: %+v", v.Spec)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o777 {
		t.Fatalf("folder: %v, %v", info, err)
	}
	if err := os.MkdirAll(filepath.Join(path, "a", "b"), 0o700); err != nil {
		t.Fatal(err)
	}
	if again := bound(t, p, o); again.Spec.Local.Path != path {
		t.Errorf("a second attempt makes %s", again.Spec.Local.Path)
	}
	for range 2 { // the second time, the folder is gone already
		if err := p.Delete(context.Background(), v); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("after the deletion: %v", err)
	}
}

func TestVolumesOfManyNodesNeedTheSharedFolder(t *testing.T) {
	shared := t.TempDir()
	for _, mode := range []corev1.PersistentVolumeAccessMode{corev1.ReadWriteMany, corev1.ReadOnlyMany} {
		_, _, err := newProvisioner(t.TempDir(), "").Provision(context.Background(), asked(mode))
		if err == nil || !strings.Contains(err.Error(), "--local-storage-shared-path") {
			t.Errorf("%s without a shared folder: %v", mode, err)
		}
		if v := bound(t, newProvisioner(t.TempDir(), shared), asked(mode)); filepath.Dir(v.Spec.Local.Path) != shared {
			t.Errorf("%s: %s", mode, v.Spec.Local.Path)
		}
	}
	local := t.TempDir()
	if v := bound(t, newProvisioner(local, shared), asked(corev1.ReadWriteOncePod)); filepath.Dir(v.Spec.Local.Path) != local {
		t.Errorf("ReadWriteOncePod: %s", v.Spec.Local.Path)
	}
}

func TestAMissingSharedFolderIsNotMade(t *testing.T) {
	shared := filepath.Join(t.TempDir(), "not-mounted")
	if _, _, err := newProvisioner(t.TempDir(), shared).Provision(context.Background(), asked(corev1.ReadWriteMany)); err == nil {
		t.Error("a volume was made where the file server should be")
	}
	if _, err := os.Stat(shared); !os.IsNotExist(err) {
		t.Errorf("%s: %v", shared, err)
	}
}

func TestWhatCanNotBeHadIsRefused(t *testing.T) {
	block := corev1.PersistentVolumeBlock
	for what, change := range map[string]func(*controller.ProvisionOptions){
		"select":      func(o *controller.ProvisionOptions) { o.PVC.Spec.Selector = &metav1.LabelSelector{} },
		"volumeMode":  func(o *controller.ProvisionOptions) { o.PVC.Spec.VolumeMode = &block },
		"data source": func(o *controller.ProvisionOptions) { o.PVC.Spec.DataSource = &corev1.TypedLocalObjectReference{} },
		"parameters":  func(o *controller.ProvisionOptions) { o.StorageClass.Parameters = map[string]string{"path": "/"} },
	} {
		o := asked(corev1.ReadWriteOnce)
		change(&o)
		if _, _, err := newProvisioner(t.TempDir(), "").Provision(context.Background(), o); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestOnlyItsOwnFoldersAreRemoved(t *testing.T) {
	top := t.TempDir()
	base, other := filepath.Join(top, "base"), filepath.Join(top, "other")
	for _, folder := range []string{base, filepath.Join(base, "pvc-2_ns_claim"), other} {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	p := newProvisioner(base, "")
	v := bound(t, p, asked(corev1.ReadWriteOnce))
	mine := v.Spec.Local.Path
	for _, path := range []string{
		"/", "", base, other, base + "/", filepath.Join(base, "..", "other"), base + "/../other", base + "/x/../pvc-1_ns_claim/../../other",
		filepath.Join(base, "pvc-2_ns_claim"), mine + "/", mine + "/..",
	} {
		v.Spec.Local.Path = path
		if err := p.Delete(context.Background(), v); err == nil {
			t.Errorf("%q was removed", path)
		}
	}
	v.Spec.Local = nil
	v.Spec.HostPath = &corev1.HostPathVolumeSource{Path: mine}
	if err := p.Delete(context.Background(), v); err == nil {
		t.Error("a hostPath volume was removed")
	}
	for _, folder := range []string{mine, filepath.Join(base, "pvc-2_ns_claim"), other} {
		if _, err := os.Stat(folder); err != nil {
			t.Error(err)
		}
	}
}

func TestALinkInPlaceOfAVolumeLeadsNowhere(t *testing.T) {
	base, other := t.TempDir(), t.TempDir()
	precious := filepath.Join(other, "precious")
	if err := os.WriteFile(precious, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	p := newProvisioner(base, "")
	o := asked(corev1.ReadWriteOnce)
	v := bound(t, p, o)
	for _, err := range []error{os.Remove(v.Spec.Local.Path), os.Symlink(other, v.Spec.Local.Path)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := p.Provision(context.Background(), o); err == nil {
		t.Error("a link was taken for the volume's folder")
	}
	if err := p.Delete(context.Background(), v); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(precious); err != nil {
		t.Error(err)
	}
}

func TestALongNameIsAFileName(t *testing.T) {
	if name := folderName("pvc-0", strings.Repeat("n", 63), strings.Repeat("c", 253)); len(name) != longestName {
		t.Errorf("%d bytes", len(name))
	}
}
