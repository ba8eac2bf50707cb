package addons

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"

	"kubesolo.io/os/payload/internal/journal"
)

const (
	component = "addons"
	// manager owns the fields of the objects that nobody else has changed (server-side apply).
	manager = "kubesolo"
)

// Apply brings the cluster to what the add-ons want to be there. What an operator has done to their objects stays:
// an object is touched only when its manifest has changed, and then without the fields that somebody else has set
// since; one that was deleted is not made again; one that was there before is nobody's but its owner's. The objects of
// an add-on that is switched off, and those that its manifest no longer has, are deleted.
func Apply(ctx context.Context, client dynamic.Interface, addons ...Addon) error {
	made, err := readRecord(ctx, client)
	if err != nil {
		return fmt.Errorf("record of the add-ons: %w", err)
	}
	var problems []error
	for _, addon := range addons {
		if err := bring(ctx, client, made, addon); err != nil {
			problems = append(problems, fmt.Errorf("add-on %s: %w", addon.Name, err))
		}
	}
	return errors.Join(append(problems, made.save(ctx, client))...)
}

func bring(ctx context.Context, client dynamic.Interface, made *record, addon Addon) error {
	objects, err := decode(addon.Text)
	if err != nil {
		return err
	}
	var problems []error
	note := func(object identity, err error) {
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", object, err))
		}
	}
	wanted := map[identity]bool{}
	for _, object := range objects {
		wanted[of(object)] = true
		note(of(object), apply(ctx, client, made, addon.Name, object))
	}
	for _, old := range slices.Backward(slices.Clone(made.known[addon.Name])) {
		if !wanted[old] {
			note(old, remove(ctx, client, made, addon.Name, old))
		}
	}
	return errors.Join(problems...)
}

func apply(ctx context.Context, client dynamic.Interface, made *record, addon string, object *unstructured.Unstructured) error {
	resource := of(object).resource(client)
	digest := object.GetAnnotations()[digestAnnotation]
	old, err := resource.Get(ctx, object.GetName(), metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err) && made.made(addon, of(object)):
		journal.Say(component, "%s was deleted and stays so", of(object))
		return nil
	case apierrors.IsNotFound(err):
		err = create(ctx, resource, object)
	case err != nil:
		return err
	case old.GetAnnotations()[digestAnnotation] == "" && !made.made(addon, of(object)):
		journal.Warn(component, "%s is not ours: it is left as it is", of(object))
		return nil
	case old.GetAnnotations()[digestAnnotation] != digest:
		err = update(ctx, resource, old, object)
	}
	if err == nil {
		made.add(addon, of(object))
	}
	return err
}

// update applies a new manifest without the fields that others have set since. What is left is ours, also where an
// earlier release has written it in another way.
func update(ctx context.Context, resource dynamic.ResourceInterface, old, object *unstructured.Unstructured) error {
	fields, err := ofOthers(old)
	if err != nil {
		return err
	}
	kept := object.DeepCopy()
	if others := without(kept.Object, fields); len(others) > 0 {
		journal.Say(component, "%s: what others have set stays: %s", of(object), strings.Join(others, ", "))
	}
	return create(ctx, resource, kept)
}

func create(ctx context.Context, resource dynamic.ResourceInterface, object *unstructured.Unstructured) error {
	_, err := resource.Apply(ctx, object.GetName(), object, metav1.ApplyOptions{FieldManager: manager, Force: true})
	return err
}

// remove deletes an object that was made, whatever an operator has done to it since. A namespace stays: others' objects
// may be in it.
func remove(ctx context.Context, client dynamic.Interface, made *record, addon string, object identity) error {
	if object.kind != "Namespace" {
		err := object.resource(client).Delete(ctx, object.name, metav1.DeleteOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			return err
		}
		journal.Say(component, "%s removed", object)
	}
	made.forget(addon, object)
	return nil
}
