package components

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/request"
)

// ours is a description that nobody has counted policies for yet, behind a server that answers everything.
func ours(t *testing.T, mutating bool) (*lazyOpenAPI, http.Handler) {
	t.Helper()
	l := newLazyOpenAPI(nil, nil)
	l.mutating.Store(mutating)
	close(l.fetched)
	return l, l.noticing(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }))
}

func send(t *testing.T, handler http.Handler, who, method, path string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	group, resource, _ := strings.Cut(strings.TrimPrefix(path, "/apis/"), "/v1/")
	info := &request.RequestInfo{APIGroup: group, Resource: resource}
	client := request.WithRequestInfo(request.WithUser(ctx, &user.DefaultInfo{Name: who}), info)
	asked := httptest.NewRequestWithContext(client, method, path, nil)
	handler.ServeHTTP(httptest.NewRecorder(), asked)
	if ctx.Err() != nil {
		t.Errorf("%s %s by %s took too long", method, path, who)
	}
}

func TestTheDescriptionIsMadeForClients(t *testing.T) {
	for _, one := range []struct {
		who, path string
		mutating  bool
		made      bool
	}{
		{"kubectl", "/openapi/v3", false, true},
		{"kubectl", "/openapi/v3/apis/apps/v1", false, true},
		{"kubectl", "/api/v1/nodes", false, false},
		{"kubectl", "/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolicies", false, false},
		{user.APIServerUser, "/openapi/v3", false, false},
		{user.APIServerUser, "/openapi/v3", true, true},
	} {
		l, handler := ours(t, one.mutating)
		close(l.counted)
		send(t, handler, one.who, http.MethodGet, one.path)
		if happened(l.asked) != one.made {
			t.Errorf("made is %t after %v", !one.made, one)
		}
	}
}

func TestTheServersOwnQuestionWaitsForTheCount(t *testing.T) {
	l, handler := ours(t, false)
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		send(t, handler, user.APIServerUser, http.MethodGet, "/openapi/v3")
	}()
	select {
	case <-answered:
		t.Error("it did not wait")
	case <-time.After(100 * time.Millisecond):
	}
	l.mutating.Store(true)
	close(l.counted)
	<-answered
	if !happened(l.asked) || !happened(l.served) {
		t.Error("policies from earlier are passed over")
	}
}

func TestAnAnswerFromBeforeThePolicyDoesNotCount(t *testing.T) {
	l := newLazyOpenAPI(nil, nil)
	close(l.fetched)
	close(l.counted)
	handler := l.noticing(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { l.mutating.Store(true) }))
	send(t, handler, user.APIServerUser, http.MethodGet, "/openapi/v3")
	if happened(l.served) {
		t.Error("the API server has had the empty list only")
	}
}

func TestAPolicyWaitsUntilItCanBeApplied(t *testing.T) {
	l, handler := ours(t, false)
	close(l.counted)
	go func() {
		<-l.asked
		send(t, handler, user.APIServerUser, http.MethodGet, "/openapi/v3")
	}()
	send(t, handler, "kubectl", http.MethodPost, "/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolicies")
	if !happened(l.served) {
		t.Error("the policy is there before the API server can apply it")
	}
}
