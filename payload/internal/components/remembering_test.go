package components

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
)

// roles is an API server with one cluster role. It counts the requests by method and last part of the path.
type roles map[string]int

func (s roles) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	last := r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]
	s[r.Method+" "+last]++
	there := rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "there"}, Rules: []rbacv1.PolicyRule{{Verbs: []string{"get"}}}}
	var object runtime.Object = &there
	status := http.StatusOK
	switch {
	case r.Method == http.MethodPost && r.URL.Query().Has("fieldManager"):
		object, status = &apierrors.NewAlreadyExists(rbacv1.Resource("clusterroles"), "new").ErrStatus, http.StatusConflict
	case r.Method == http.MethodPost:
		status = http.StatusCreated
	case last == "clusterroles":
		object = &rbacv1.ClusterRoleList{Items: []rbacv1.ClusterRole{there}}
	}
	info, _ := runtime.SerializerInfoForMediaType(scheme.Codecs.SupportedMediaTypes(), r.Header.Get("Accept"))
	w.Header().Set("Content-Type", r.Header.Get("Accept"))
	w.WriteHeader(status)
	_ = scheme.Codecs.EncoderForVersion(info.Serializer, rbacv1.SchemeGroupVersion).Encode(object, w)
}

func TestObjectsOfAListAreNotAskedForAgain(t *testing.T) {
	for _, format := range []string{"application/json", "application/vnd.kubernetes.protobuf"} {
		seen, client := remembered(t, format)
		ctx := t.Context()
		if _, err := client.Get(ctx, "there", metav1.GetOptions{}); err != nil || seen["GET there"] != 1 {
			t.Fatalf("before the list: %v, %v", err, seen)
		}
		listRoles(ctx, t, client)
		found, err := client.Get(ctx, "there", metav1.GetOptions{})
		if err != nil || found.Name != "there" || len(found.Rules) != 1 {
			t.Errorf("%v, %v", found, err)
		}
		if _, err := client.Get(ctx, "missing", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			t.Errorf("missing: %v", err)
		}
		role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "new"}}
		if _, err := client.Create(ctx, role, metav1.CreateOptions{}); err != nil {
			t.Error(err)
		}
		if _, err := client.Get(ctx, "there", metav1.GetOptions{}); err != nil || seen["GET there"] != 1 || seen["GET missing"] != 0 {
			t.Errorf("%v, %v", err, seen)
		}
	}
}

func TestOtherWritesMakeItForget(t *testing.T) {
	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "there"}}
	for name, write := range map[string]func(context.Context, clusterRoles) error{
		"an update": func(ctx context.Context, client clusterRoles) error {
			_, err := client.Update(ctx, role, metav1.UpdateOptions{})
			return err
		},
		"a creation that fails": func(ctx context.Context, client clusterRoles) error {
			if _, err := client.Create(ctx, role, metav1.CreateOptions{FieldManager: "fails"}); !apierrors.IsAlreadyExists(err) {
				t.Errorf("created: %v", err)
			}
			return nil
		},
	} {
		seen, client := remembered(t, "application/json")
		listRoles(t.Context(), t, client)
		if err := write(t.Context(), client); err != nil {
			t.Fatal(err)
		}
		if _, err := client.Get(t.Context(), "there", metav1.GetOptions{}); err != nil || seen["GET there"] != 1 {
			t.Errorf("after %s: %v, %v", name, err, seen)
		}
	}
}

type clusterRoles interface {
	Get(context.Context, string, metav1.GetOptions) (*rbacv1.ClusterRole, error)
	List(context.Context, metav1.ListOptions) (*rbacv1.ClusterRoleList, error)
	Create(context.Context, *rbacv1.ClusterRole, metav1.CreateOptions) (*rbacv1.ClusterRole, error)
	Update(context.Context, *rbacv1.ClusterRole, metav1.UpdateOptions) (*rbacv1.ClusterRole, error)
}

func remembered(t *testing.T, format string) (roles, clusterRoles) {
	t.Helper()
	seen := roles{}
	server := httptest.NewServer(seen)
	t.Cleanup(server.Close)
	config := &rest.Config{Host: server.URL, Transport: &remembering{next: http.DefaultTransport}}
	config.ContentType, config.AcceptContentTypes = format, format
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return seen, client.RbacV1().ClusterRoles()
}

func listRoles(ctx context.Context, t *testing.T, client clusterRoles) {
	t.Helper()
	if found, err := client.List(ctx, metav1.ListOptions{}); err != nil || len(found.Items) != 1 {
		t.Fatalf("%v, %v", found, err)
	}
}
