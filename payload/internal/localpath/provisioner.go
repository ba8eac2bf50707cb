package localpath

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"
)

const (
	// Provisioner is what StorageClasses name.
	Provisioner = "kubesolo.io/local-path"
	// prefix begins the name of every volume that is made for a claim, and so of its folder.
	prefix = "pvc-"
)

// provisioner makes and removes volumes, as the library's controller asks it to.
type provisioner struct {
	local  folders
	shared folders // without a base when there is none
}

// Provision implements controller.Provisioner. What can not be had is an error, which the claim's events show.
func (p *provisioner) Provision(
	_ context.Context, o controller.ProvisionOptions,
) (*corev1.PersistentVolume, controller.ProvisioningState, error) {
	place, err := p.place(o)
	if err != nil {
		return nil, controller.ProvisioningFinished, err
	}
	path, err := place.make(folderName(o.PVName, o.PVC.Namespace, o.PVC.Name))
	if err != nil {
		return nil, controller.ProvisioningFinished, err
	}
	return volume(o, path), controller.ProvisioningFinished, nil
}

// place chooses the base of the volume, or says why there can be no such volume.
func (p *provisioner) place(o controller.ProvisionOptions) (folders, error) {
	spec := o.PVC.Spec
	switch {
	case spec.Selector != nil:
		return folders{}, fmt.Errorf("volumes are made for the claim: it can not select any")
	case spec.VolumeMode != nil && *spec.VolumeMode != corev1.PersistentVolumeFilesystem:
		return folders{}, fmt.Errorf("volumes are folders: volumeMode %s is not to be had", *spec.VolumeMode)
	case spec.DataSource != nil || spec.DataSourceRef != nil:
		return folders{}, fmt.Errorf("volumes begin empty: a data source is not to be had")
	case len(o.StorageClass.Parameters) > 0:
		return folders{}, fmt.Errorf("StorageClass %s has parameters: %s knows none", o.StorageClass.Name, Provisioner)
	case !slices.ContainsFunc(spec.AccessModes, manyNodes):
		return p.local, nil
	case p.shared.base == "":
		return folders{}, fmt.Errorf("access modes %v need --local-storage-shared-path", spec.AccessModes)
	}
	return p.shared, nil
}

func manyNodes(mode corev1.PersistentVolumeAccessMode) bool {
	return mode == corev1.ReadWriteMany || mode == corev1.ReadOnlyMany
}

// Delete implements controller.Provisioner. Only what Provision can have made is removed: everybody who may make
// PersistentVolumes can write any path into one.
func (p *provisioner) Delete(_ context.Context, v *corev1.PersistentVolume) error {
	if v.Spec.Local == nil {
		return fmt.Errorf("volume %s is not one of %s", v.Name, Provisioner)
	}
	for _, place := range []folders{p.local, p.shared} {
		if name, yes := place.holds(v.Spec.Local.Path); yes && isOf(name, v) {
			return place.remove(name)
		}
	}
	return fmt.Errorf("%s is no folder of volume %s: it is left as it is", v.Spec.Local.Path, v.Name)
}

// isOf says whether the folder is that of the volume.
func isOf(folder string, v *corev1.PersistentVolume) bool {
	return v.Spec.ClaimRef != nil && folder == folderName(v.Name, v.Spec.ClaimRef.Namespace, v.Spec.ClaimRef.Name)
}

// volume is a local volume and no hostPath: kubelet applies fsGroup to it, and a pod whose folder is missing does not
// start with an empty one. The API wants to know its node. Every node of a cluster of one is that node, also after
// its name has changed.
func volume(o controller.ProvisionOptions, path string) *corev1.PersistentVolume {
	everywhere := corev1.NodeSelectorRequirement{
		Key: corev1.LabelOSStable, Operator: corev1.NodeSelectorOpIn, Values: []string{"linux"},
	}
	return &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: o.PVName},
		Spec: corev1.PersistentVolumeSpec{
			PersistentVolumeReclaimPolicy: reclaimPolicy(o),
			AccessModes:                   o.PVC.Spec.AccessModes,
			MountOptions:                  o.StorageClass.MountOptions,
			Capacity: corev1.ResourceList{
				corev1.ResourceStorage: o.PVC.Spec.Resources.Requests[corev1.ResourceStorage],
			},
			PersistentVolumeSource: corev1.PersistentVolumeSource{Local: &corev1.LocalVolumeSource{Path: path}},
			NodeAffinity: &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{
				NodeSelectorTerms: []corev1.NodeSelectorTerm{
					{MatchExpressions: []corev1.NodeSelectorRequirement{everywhere}},
				},
			}},
		},
	}
}

func reclaimPolicy(o controller.ProvisionOptions) corev1.PersistentVolumeReclaimPolicy {
	if o.StorageClass.ReclaimPolicy != nil {
		return *o.StorageClass.ReclaimPolicy
	}
	return corev1.PersistentVolumeReclaimDelete
}
