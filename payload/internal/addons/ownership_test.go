package addons

import (
	"reflect"
	"testing"

	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

func TestFieldsOfOthersAreLeftOut(t *testing.T) {
	container := func(name string) map[string]any {
		return map[string]any{"name": name, "image": "old", "env": []any{map[string]any{"name": "A", "value": "1"}}}
	}
	object := map[string]any{"spec": map[string]any{
		"replicas": int64(1), "containers": []any{container("a"), container("b")},
	}}
	of := func(name string) fieldpath.PathElement {
		return fieldpath.PathElement{Key: fieldpath.KeyByFields("name", name)}
	}
	removed := without(object, fieldpath.NewSet(
		fieldpath.MakePathOrDie("spec", "replicas"),
		fieldpath.MakePathOrDie("spec", "paused"),
		fieldpath.MakePathOrDie("spec", "containers", of("b"), "image"),
		fieldpath.MakePathOrDie("spec", "containers", of("b"), "name"),
		fieldpath.MakePathOrDie("spec", "containers", of("b"), "env", of("A"), "value"),
		fieldpath.MakePathOrDie("spec", "containers", of("c"), "image"),
	))
	if len(removed) != 3 {
		t.Errorf("removed: %v", removed)
	}
	want := map[string]any{"spec": map[string]any{"containers": []any{
		container("a"), map[string]any{"name": "b", "env": []any{map[string]any{"name": "A"}}},
	}}}
	if !reflect.DeepEqual(object, want) {
		t.Errorf("left: %v", object)
	}
}
