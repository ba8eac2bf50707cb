package components

import (
	"bytes"
	"io"
	"net/http"

	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/util/responsewriter"
	"k8s.io/client-go/rest"
)

// inside returns a client's configuration for the same user whose requests go straight to the server's handler,
// with neither network nor TLS.
func inside(server *genericapiserver.GenericAPIServer, config *rest.Config) *rest.Config {
	direct := rest.CopyConfig(config)
	direct.TLSClientConfig.CAData, direct.TLSClientConfig.ServerName = nil, ""
	direct.Transport = inProcess{server.Handler.FullHandlerChain}
	return direct
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
	return response(request, writer.RespCode(), writer.Header(), writer.Data()), nil
}

// response is an answer that is all there.
func response(request *http.Request, status int, header http.Header, body []byte) *http.Response {
	return &http.Response{
		StatusCode: status, Status: http.StatusText(status), Header: header,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: request,
		Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)),
	}
}
