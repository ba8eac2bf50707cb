package components

import (
	"context"
	"errors"
	"net/http"

	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/healthz"
	rbacrest "k8s.io/kubernetes/pkg/registry/rbac/rest"

	"kubesolo.io/os/payload/internal/journal"
)

const rbacHook = "kubesolo-rbac"

// deferRBAC has the default roles made once events.Settled is closed: some 200 requests that would otherwise delay
// everything else at first start. The API server is healthy (/healthz) meanwhile, which is all that the controllers ask
// for, but not ready (/readyz).
func deferRBAC(front *genericapiserver.GenericAPIServer, events Events) error {
	_, ensure, err := rbacrest.RESTStorageProvider{}.PostStartHook()
	if err != nil {
		return err
	}
	made := make(chan struct{})
	if err := front.AddReadyzChecks(healthz.NamedCheck(rbacHook, closed(made))); err != nil {
		return err
	}
	return front.AddPostStartHook(rbacHook, func(hook genericapiserver.PostStartHookContext) error {
		direct := inside(front, hook.LoopbackClientConfig)
		direct.Transport = &remembering{next: heldBack{direct.Transport, events.Settled, hook}}
		hook.LoopbackClientConfig = direct
		go func() {
			for hook.Err() == nil {
				err := ensureTwice(ensure, hook)
				if err == nil {
					close(made)
					events.Roles()
					return
				}
				if hook.Err() == nil {
					journal.Warn("rbac", "default roles: %v", err)
				}
			}
		}()
		return nil
	})
}

// closed is a check that holds when the event has come.
func closed(event <-chan struct{}) func(*http.Request) error {
	return func(*http.Request) error {
		select {
		case <-event:
			return nil
		default:
			return errors.New("the default roles are not there yet")
		}
	}
}

// ensureTwice begins before it may: it would wait for a second first, which passes meanwhile. Its own patience of
// 30 s may run out while it is held back; then the second attempt has all of it.
func ensureTwice(ensure genericapiserver.PostStartHookFunc, hook genericapiserver.PostStartHookContext) error {
	if err := ensure(hook); err == nil || hook.Err() != nil {
		return err
	}
	return ensure(hook)
}

// heldBack is an HTTP transport that waits until it may begin.
type heldBack struct {
	next  http.RoundTripper
	begin <-chan struct{}
	end   context.Context
}

// RoundTrip implements http.RoundTripper.
func (h heldBack) RoundTrip(request *http.Request) (*http.Response, error) {
	select {
	case <-h.begin:
		return h.next.RoundTrip(request)
	case <-h.end.Done():
		return nil, h.end.Err()
	}
}
