package components

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"

	"github.com/emicklei/go-restful/v3"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/cel/openapi/resolver"
	k8sscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/kube-openapi/pkg/common"
	"k8s.io/kubernetes/pkg/generated/openapi"
)

// allocated is what a function allocates, in bytes.
func allocated(do func()) uint64 {
	before, after := runtime.MemStats{}, runtime.MemStats{}
	runtime.ReadMemStats(&before)
	do()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// restful-lazy-expressions.patch: a path costs 17 kB with its regular expression, less than 5 without.
func TestPathsBecomeExpressionsWhenARouterAsks(t *testing.T) {
	const routes, most = 200, 5 << 10
	answer := func(_ *restful.Request, response *restful.Response) { response.WriteHeader(http.StatusTeapot) }
	service := new(restful.WebService).Path("/apis/example.io/v1")
	service.SetDynamicRoutes(true)
	used := allocated(func() {
		for n := range routes {
			service.Route(service.GET(fmt.Sprintf("/namespaces/{namespace}/things-%d/{name}/scale", n)).To(answer))
		}
	})
	if used > routes*most {
		t.Errorf("%d bytes a route", used/routes)
	}
	for name, router := range map[string]restful.RouteSelector{"curly": restful.CurlyRouter{}, "JSR 311": restful.RouterJSR311{}} {
		container := restful.NewContainer()
		container.Router(router)
		container.Add(service)
		for path, want := range map[string]int{"things-7/x/scale": http.StatusTeapot, "other/x": http.StatusNotFound} {
			recorder := httptest.NewRecorder()
			container.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/apis/example.io/v1/namespaces/a/"+path, nil))
			if recorder.Code != want {
				t.Errorf("%s: %s: status %d", name, path, recorder.Code)
			}
		}
	}
}

// apiserver-lazy-definitions.patch: nothing is described before somebody asks, and only once then.
func TestDefinitionsAreLoadedWhenASchemaIsAsked(t *testing.T) {
	loads := 0
	found := resolver.NewDefinitionsSchemaResolver(func(ref common.ReferenceCallback) map[string]common.OpenAPIDefinition {
		loads++
		return openapi.GetOpenAPIDefinitions(ref)
	}, k8sscheme.Scheme)
	if loads != 0 {
		t.Error("loaded when it is made")
	}
	for _, kind := range []string{"Deployment", "StatefulSet"} {
		schema, err := found.ResolveSchema(schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: kind})
		if err != nil || schema.Properties["spec"].Properties["replicas"].Type[0] != "integer" {
			t.Errorf("%s: %v, %v", kind, schema, err)
		}
	}
	if loads != 1 {
		t.Errorf("loaded %d times", loads)
	}
}
