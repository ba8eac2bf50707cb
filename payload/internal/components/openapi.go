package components

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/emicklei/go-restful/v3"
	"k8s.io/apiserver/pkg/server/mux"
	"k8s.io/apiserver/pkg/server/routes"
	"k8s.io/kube-openapi/pkg/common"
)

const (
	openAPIV2 = "/openapi/v2"
	openAPIV3 = "/openapi/v3"
	// openAPIPatience bounds how long the first request for the API's description waits until it is made.
	openAPIPatience = time.Minute
)

// lazyOpenAPI describes Kubernetes' own API when somebody asks for the first time: building the description is
// a third of the API server's start-up work and 40 MB of its memory, and a node without kubectl never needs it.
// The aggregator in front polls version 3's list of groups every second; it is empty until a client asks.
type lazyOpenAPI struct {
	v2   *common.Config
	v3   *common.OpenAPIV3Config
	apis *restful.Container

	makeV2, makeV3, ask, fetch sync.Once
	muxV2, muxV3               *mux.PathRecorderMux
	asked, fetched             chan struct{}
}

func newLazyOpenAPI(v2 *common.Config, v3 *common.OpenAPIV3Config) *lazyOpenAPI {
	return &lazyOpenAPI{v2: v2, v3: v3, asked: make(chan struct{}), fetched: make(chan struct{})}
}

// install makes server's handler answer for the APIs that it has.
func (l *lazyOpenAPI) install(apis *restful.Container, paths *mux.PathRecorderMux) {
	l.apis = apis
	paths.UnlistedHandle(openAPIV2, l)
	paths.Handle(openAPIV3, l)
	paths.UnlistedHandlePrefix(openAPIV3+"/", l)
}

// ServeHTTP answers the aggregator.
func (l *lazyOpenAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !strings.HasPrefix(r.URL.Path, openAPIV3) {
		l.makeV2.Do(func() {
			l.muxV2 = mux.NewPathRecorderMux("openapi-v2")
			routes.OpenAPI{Config: l.v2}.InstallV2(l.apis, l.muxV2)
		})
		l.muxV2.ServeHTTP(w, r)
		return
	}
	select {
	case <-l.asked:
	default:
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"paths":{}}`))
		return
	}
	l.makeV3.Do(func() {
		l.muxV3 = mux.NewPathRecorderMux("openapi-v3")
		routes.OpenAPI{V3Config: l.v3}.InstallV3(l.apis, l.muxV3)
	})
	l.muxV3.ServeHTTP(w, r)
	if r.URL.Path == openAPIV3 {
		l.fetch.Do(func() { close(l.fetched) })
	}
}

// noticing wraps what serves the clients' requests: the first one for version 3 waits until the aggregator has
// fetched the list of groups, at its next poll.
func (l *lazyOpenAPI) noticing(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, openAPIV3) {
			l.want(r.Context())
		}
		next.ServeHTTP(w, r)
	})
}

func (l *lazyOpenAPI) want(ctx context.Context) {
	l.ask.Do(func() { close(l.asked) })
	select {
	case <-l.fetched:
	case <-ctx.Done():
	case <-time.After(openAPIPatience):
	}
}
