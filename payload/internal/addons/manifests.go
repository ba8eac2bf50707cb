// Package addons brings what every cluster needs beyond Kubernetes itself.
package addons

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/dynamic"
)

// digestAnnotation says from which manifest an object was made: one that has not changed is left alone,
// so that an operator's edits live until the next release changes the object.
const digestAnnotation = "kubesolo.io/manifest-sha256"

// Apply creates the objects of a YAML file that are missing and patches those whose text has changed.
func Apply(ctx context.Context, client dynamic.Interface, text []byte) error {
	objects, err := decode(text)
	if err != nil {
		return err
	}
	var problems []error
	fresh := false
	for _, object := range objects {
		made, err := apply(ctx, client, object, fresh)
		fresh = made
		if err != nil {
			problems = append(problems, fmt.Errorf("%s %s: %w", object.GetKind(), object.GetName(), err))
		}
	}
	return errors.Join(problems...)
}

func decode(text []byte) ([]*unstructured.Unstructured, error) {
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 4096)
	var objects []*unstructured.Unstructured
	for {
		object := &unstructured.Unstructured{}
		err := decoder.Decode(&object.Object)
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, err
		}
		if len(object.Object) == 0 {
			continue
		}
		source, err := json.Marshal(object.Object)
		if err != nil {
			return nil, err
		}
		digest := sha256.Sum256(source)
		annotations := object.GetAnnotations()
		if annotations == nil {
			annotations = map[string]string{}
		}
		annotations[digestAnnotation] = hex.EncodeToString(digest[:])
		object.SetAnnotations(annotations)
		objects = append(objects, object)
	}
}

// apply says whether it has made the object, so that those behind it are likely not there either: with fresh, it does not
// look first.
func apply(ctx context.Context, client dynamic.Interface, object *unstructured.Unstructured, fresh bool) (bool, error) {
	plural, _ := meta.UnsafeGuessKindToResource(object.GroupVersionKind())
	var resource dynamic.ResourceInterface = client.Resource(plural)
	if namespace := object.GetNamespace(); namespace != "" {
		resource = client.Resource(plural).Namespace(namespace)
	}
	if fresh {
		_, err := resource.Create(ctx, object, metav1.CreateOptions{FieldManager: "kubesolo"})
		if !apierrors.IsAlreadyExists(err) {
			return err == nil, err
		}
	}
	old, err := resource.Get(ctx, object.GetName(), metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		_, err = resource.Create(ctx, object, metav1.CreateOptions{FieldManager: "kubesolo"})
		return err == nil, err
	}
	if err != nil || old.GetAnnotations()[digestAnnotation] == object.GetAnnotations()[digestAnnotation] {
		return false, err
	}
	patch, err := json.Marshal(object.Object)
	if err != nil {
		return false, err
	}
	_, err = resource.Patch(ctx, object.GetName(), types.MergePatchType, patch, metav1.PatchOptions{FieldManager: "kubesolo"})
	return false, err
}
