package addons

import (
	"context"
	"maps"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
)

// recordName is the ConfigMap that says which objects were made, an add-on an entry, an object a line. It lies in the
// database with them, so that it is right after the database has gone back to an earlier state as well.
const recordName = "kubesolo-addons"

var recordIdentity = identity{"v1", "ConfigMap", metav1.NamespaceSystem, recordName}

// record is what was made.
type record struct {
	known map[string][]identity // by the add-on's name
	saved map[string]string     // as it is in the API
}

func readRecord(ctx context.Context, client dynamic.Interface) (*record, error) {
	r := &record{known: map[string][]identity{}, saved: map[string]string{}}
	object, err := recordIdentity.resource(client).Get(ctx, recordName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return r, nil
	}
	if err != nil {
		return nil, err
	}
	data, _ := object.Object["data"].(map[string]any) // an empty one may be null
	for addon, value := range data {
		text, _ := value.(string)
		r.saved[addon] = text
		for line := range strings.Lines(text) {
			// What an operator has written into it by mistake is no object of ours.
			if made, err := parseIdentity(line); err == nil {
				r.known[addon] = append(r.known[addon], made)
			}
		}
	}
	return r, nil
}

func (r *record) made(addon string, object identity) bool {
	return slices.Contains(r.known[addon], object)
}

func (r *record) add(addon string, object identity) {
	if !r.made(addon, object) {
		r.known[addon] = append(r.known[addon], object)
	}
}

func (r *record) forget(addon string, object identity) {
	r.known[addon] = slices.DeleteFunc(r.known[addon], func(i identity) bool { return i == object })
}

// save writes the record if it has changed.
func (r *record) save(ctx context.Context, client dynamic.Interface) error {
	data := map[string]string{}
	for addon, objects := range r.known {
		var text strings.Builder
		for _, object := range objects {
			text.WriteString(object.String() + "\n")
		}
		if text.Len() > 0 {
			data[addon] = text.String()
		}
	}
	if maps.Equal(data, r.saved) {
		return nil
	}
	object := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": recordIdentity.apiVersion, "kind": recordIdentity.kind,
		"metadata": map[string]any{"namespace": recordIdentity.namespace, "name": recordIdentity.name},
	}}
	if err := unstructured.SetNestedStringMap(object.Object, data, "data"); err != nil {
		return err
	}
	_, err := recordIdentity.resource(client).Apply(
		ctx, recordName, object, metav1.ApplyOptions{FieldManager: manager, Force: true},
	)
	if err == nil {
		r.saved = data
	}
	return err
}
