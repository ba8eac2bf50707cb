package components

import (
	"bytes"
	"io"
	"net/http"

	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/util/responsewriter"
	rbacrest "k8s.io/kubernetes/pkg/registry/rbac/rest"
)

const rbacHook = "kubesolo-rbac"

// deferRBAC has the default roles made once `begin` is closed: some 200 requests that would otherwise delay
// everything else at first start. The requests go straight to the handler of the front server, with neither
// network nor TLS. The API server is not ready (/readyz) before they are done.
func deferRBAC(front *genericapiserver.GenericAPIServer, begin <-chan struct{}) error {
	_, ensure, err := rbacrest.RESTStorageProvider{}.PostStartHook()
	if err != nil {
		return err
	}
	return front.AddPostStartHook(rbacHook, func(hook genericapiserver.PostStartHookContext) error {
		select {
		case <-begin:
		case <-hook.Done():
			return nil
		}
		direct := *hook.LoopbackClientConfig
		direct.TLSClientConfig.CAData, direct.TLSClientConfig.ServerName = nil, ""
		direct.Transport = inProcess{front.Handler.FullHandlerChain}
		hook.LoopbackClientConfig = &direct
		return ensure(hook)
	})
}

// inProcess is an HTTP transport that calls a handler. It does not stream: no watches over it.
type inProcess struct{ handler http.Handler }

// RoundTrip implements http.RoundTripper.
func (t inProcess) RoundTrip(request *http.Request) (*http.Response, error) {
	served := request.Clone(request.Context())
	served.RequestURI = request.URL.RequestURI()
	served.RemoteAddr = "127.0.0.1:0"
	if served.Body == nil {
		served.Body = http.NoBody
	}
	writer := responsewriter.NewInMemoryResponseWriter()
	t.handler.ServeHTTP(writer, served)
	return &http.Response{
		StatusCode: writer.RespCode(), Status: http.StatusText(writer.RespCode()), Header: writer.Header(),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: request,
		Body: io.NopCloser(bytes.NewReader(writer.Data())), ContentLength: int64(len(writer.Data())),
	}, nil
}
