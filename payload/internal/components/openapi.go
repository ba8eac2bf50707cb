package components

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emicklei/go-restful/v3"
	admissionregistration "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/request"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/mux"
	"k8s.io/apiserver/pkg/server/routes"
	admission "k8s.io/client-go/kubernetes/typed/admissionregistration/v1"
	"k8s.io/kube-openapi/pkg/common"
)

const (
	openAPIV2 = "/openapi/v2"
	openAPIV3 = "/openapi/v3"
	// openAPIPatience bounds how long a request waits until the API's description is made.
	openAPIPatience = time.Minute
	openAPIHook     = "kubesolo-openapi"
)

var mutatingPolicies = admissionregistration.Resource("mutatingadmissionpolicies")

// lazyOpenAPI describes Kubernetes' own API when somebody asks for the first time: building the description is
// a third of the API server's start-up work and 40 MB of its memory, and a node without kubectl never needs it.
// The aggregator in front polls version 3's list of groups every second; it is empty until a client asks.
//
// The API server is such a client itself, every five seconds, for its MutatingAdmissionPolicies: it counts only
// once there are any.
type lazyOpenAPI struct {
	v2   *common.Config
	v3   *common.OpenAPIV3Config
	apis *restful.Container

	makeV2, makeV3, ask, serve sync.Once
	muxV2, muxV3               *mux.PathRecorderMux
	asked, fetched             chan struct{}
	fetches                    atomic.Int64

	mutating atomic.Bool   // there are, or may be, MutatingAdmissionPolicies
	counted  chan struct{} // closed when the database has been asked for them
	served   chan struct{} // closed when the API server itself has had the list because of them
}

func newLazyOpenAPI(v2 *common.Config, v3 *common.OpenAPIV3Config) *lazyOpenAPI {
	return &lazyOpenAPI{
		v2: v2, v3: v3, asked: make(chan struct{}), fetched: make(chan struct{}),
		counted: make(chan struct{}), served: make(chan struct{}),
	}
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
	// The aggregator comes again only after it has taken in what it was given.
	if r.URL.Path == openAPIV3 && l.fetches.Add(1) == 2 {
		close(l.fetched)
	}
}

// noticing wraps what serves the clients' requests, behind authentication.
func (l *lazyOpenAPI) noticing(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasPrefix(r.URL.Path, openAPIV3):
			wanted := !isOwn(r) || l.mutates(r.Context())
			made := wanted && l.want(r.Context())
			next.ServeHTTP(w, r)
			if made && isOwn(r) && r.URL.Path == openAPIV3 {
				l.serve.Do(func() { close(l.served) })
			}
			return
		case changesPolicies(r):
			l.prepare(r.Context())
		}
		next.ServeHTTP(w, r)
	})
}

// changesPolicies says whether a request writes MutatingAdmissionPolicies.
func changesPolicies(r *http.Request) bool {
	info, known := request.RequestInfoFrom(r.Context())
	return known && info.APIGroup == mutatingPolicies.Group && info.Resource == mutatingPolicies.Resource &&
		r.Method != http.MethodGet
}

// isOwn says whether the API server itself is the client.
func isOwn(r *http.Request) bool {
	client, known := request.UserFrom(r.Context())
	return known && client.GetName() == user.APIServerUser
}

// countAtStart finds out, once, whether there are MutatingAdmissionPolicies from earlier. An error counts as yes.
func (l *lazyOpenAPI) countAtStart(front *genericapiserver.GenericAPIServer) error {
	return front.AddPostStartHook(openAPIHook, func(hook genericapiserver.PostStartHookContext) error {
		defer close(l.counted)
		client, err := admission.NewForConfig(inside(front, hook.LoopbackClientConfig))
		if err != nil {
			return err
		}
		found, err := client.MutatingAdmissionPolicies().List(hook, metav1.ListOptions{Limit: 1})
		if err != nil || len(found.Items) > 0 {
			l.mutating.Store(true)
		}
		return nil
	})
}

// mutates waits for what countAtStart finds. It is yes when that takes too long.
func (l *lazyOpenAPI) mutates(ctx context.Context) bool {
	return !within(ctx, l.counted) || l.mutating.Load()
}

// want waits until the aggregator has fetched the list of groups, at its next poll, and says whether it has.
func (l *lazyOpenAPI) want(ctx context.Context) bool {
	l.ask.Do(func() { close(l.asked) })
	return within(ctx, l.fetched)
}

// prepare waits until the API server can apply a policy that somebody is about to create: until it has asked for
// the description again.
func (l *lazyOpenAPI) prepare(ctx context.Context) {
	l.mutating.Store(true)
	l.want(ctx)
	within(ctx, l.served)
}

// within says whether the event comes in time.
func within(ctx context.Context, event <-chan struct{}) bool {
	select {
	case <-event:
		return true
	case <-ctx.Done():
	case <-time.After(openAPIPatience):
	}
	return false
}
