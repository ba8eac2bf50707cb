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
	for _, object := range objects {
		if err := apply(ctx, client, object); err != nil {
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

func apply(ctx context.Context, client dynamic.Interface, object *unstructured.Unstructured) error {
	plural, _ := meta.UnsafeGuessKindToResource(object.GroupVersionKind())
	var resource dynamic.ResourceInterface = client.Resource(plural)
	if namespace := object.GetNamespace(); namespace != "" {
		resource = client.Resource(plural).Namespace(namespace)
	}
	old, err := resource.Get(ctx, object.GetName(), metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		_, err = resource.Create(ctx, object, metav1.CreateOptions{FieldManager: "kubesolo"})
		return err
	}
	if err != nil || old.GetAnnotations()[digestAnnotation] == object.GetAnnotations()[digestAnnotation] {
		return err
	}
	patch, err := json.Marshal(object.Object)
	if err != nil {
		return err
	}
	_, err = resource.Patch(ctx, object.GetName(), types.MergePatchType, patch, metav1.PatchOptions{FieldManager: "kubesolo"})
	return err
}
