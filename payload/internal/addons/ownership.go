package addons

import (
	"bytes"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	"sigs.k8s.io/structured-merge-diff/v6/value"
)

// ofOthers returns the fields of an object that somebody else than the add-ons has set, or has set last
// (metadata.managedFields).
func ofOthers(object *unstructured.Unstructured) (*fieldpath.Set, error) {
	fields := fieldpath.NewSet()
	for _, entry := range object.GetManagedFields() {
		if entry.Manager == manager || entry.FieldsV1 == nil {
			continue
		}
		found := &fieldpath.Set{}
		if err := found.FromJSON(bytes.NewReader(entry.FieldsV1.Raw)); err != nil {
			return nil, fmt.Errorf("fields of %s: %w", entry.Manager, err)
		}
		fields = fields.Union(found)
	}
	return fields.Leaves(), nil
}

// without removes fields from an object that is going to be applied, and returns those that it had.
func without(object map[string]any, fields *fieldpath.Set) (removed []string) {
	fields.Iterate(func(path fieldpath.Path) {
		if take(object, path) {
			removed = append(removed, path.String())
		}
	})
	return removed
}

// take removes the field at the path, and says whether it was there. An element of a list is found by its keys, which
// stay: without them it would be another element.
func take(from any, path fieldpath.Path) bool {
	first := path[0]
	switch {
	case first.FieldName != nil:
		fields, yes := from.(map[string]any)
		if !yes {
			return false
		}
		next, there := fields[*first.FieldName]
		if len(path) == 1 {
			delete(fields, *first.FieldName)
			return there
		}
		return there && take(next, path[1:])
	case first.Key != nil && len(path) > 1:
		elements, _ := from.([]any)
		for _, element := range elements {
			if fields, yes := element.(map[string]any); yes && has(fields, *first.Key) {
				return !isKey(path[1], *first.Key) && take(fields, path[1:])
			}
		}
	}
	return false
}

func has(element map[string]any, key value.FieldList) bool {
	for _, part := range key {
		if fmt.Sprint(element[part.Name]) != fmt.Sprint(part.Value.Unstructured()) {
			return false
		}
	}
	return true
}

func isKey(field fieldpath.PathElement, key value.FieldList) bool {
	for _, part := range key {
		if field.FieldName != nil && *field.FieldName == part.Name {
			return true
		}
	}
	return false
}
