package components

import (
	"errors"
	"testing"

	genericapiserver "k8s.io/apiserver/pkg/server"
)

func TestRolesAreTriedUntilAnAttemptWasNotHeldBack(t *testing.T) {
	hook := genericapiserver.PostStartHookContext{Context: t.Context()}
	late := errors.New("out of patience")
	for settles := range 4 {
		settled, attempts := make(chan struct{}), 0
		err := ensureSettled(func(genericapiserver.PostStartHookContext) error {
			attempts++
			if attempts == settles {
				close(settled) // during the attempt, whose patience is nearly out
			}
			if settles == 0 || attempts > settles {
				return nil
			}
			return late
		}, hook, settled)
		if err != nil || attempts != settles+1 {
			t.Errorf("settled in attempt %d: %v after %d attempts", settles, err, attempts)
		}
	}
}

func TestRolesThatCanNotBeMadeAreAnError(t *testing.T) {
	settled := make(chan struct{})
	close(settled)
	broken := errors.New("broken")
	hook := genericapiserver.PostStartHookContext{Context: t.Context()}
	if err := ensureSettled(func(genericapiserver.PostStartHookContext) error { return broken }, hook, settled); err != broken {
		t.Errorf("%v", err)
	}
}
