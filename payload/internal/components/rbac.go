package components

import (
	"context"
	"net/http"

	genericapiserver "k8s.io/apiserver/pkg/server"
	rbacrest "k8s.io/kubernetes/pkg/registry/rbac/rest"
)

const rbacHook = "kubesolo-rbac"

// deferRBAC has the default roles made once events.Settled is closed: some 200 requests that would otherwise delay
// everything else at first start. The API server is not ready (/readyz) before they are done.
func deferRBAC(front *genericapiserver.GenericAPIServer, events Events) error {
	_, ensure, err := rbacrest.RESTStorageProvider{}.PostStartHook()
	if err != nil {
		return err
	}
	return front.AddPostStartHook(rbacHook, func(hook genericapiserver.PostStartHookContext) error {
		direct := inside(front, hook.LoopbackClientConfig)
		direct.Transport = &remembering{next: heldBack{direct.Transport, events.Settled, hook}}
		hook.LoopbackClientConfig = direct
		made := make(chan error, 1)
		go func() { made <- ensureSettled(ensure, hook, events.Settled) }()
		select {
		case err := <-made:
			if err == nil {
				events.Roles()
			}
			return err
		case <-hook.Done():
			return nil
		}
	})
}

// ensureSettled begins before it may: it would wait for a second first, which passes meanwhile. Its own patience of
// 30 s may run out while it is held back, on a slow machine more than once; what counts is the first attempt that had
// all of it.
func ensureSettled(
	ensure genericapiserver.PostStartHookFunc, hook genericapiserver.PostStartHookContext, settled <-chan struct{},
) error {
	for {
		begun := happened(settled)
		if err := ensure(hook); err == nil || begun || hook.Err() != nil {
			return err
		}
	}
}

func happened(event <-chan struct{}) bool {
	select {
	case <-event:
		return true
	default:
		return false
	}
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
