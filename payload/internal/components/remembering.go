package components

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"path"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
)

// remembering is an HTTP transport to an API server that answers for single objects from the last list of their
// collection, which the client has asked for before. It is meant for a client that lists, then looks at every
// object and creates what is missing; any other write makes it forget the collection.
type remembering struct {
	next  http.RoundTripper
	mutex sync.Mutex
	lists map[string]*list // by the collection's path
}

// list is what a collection held; contentType is how the server has written it.
type list struct {
	objects     map[string]runtime.Object
	contentType string
}

// RoundTrip implements http.RoundTripper.
func (m *remembering) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.Method == http.MethodGet {
		if known := m.list(path.Dir(request.URL.Path)); known != nil {
			return known.answer(request)
		}
	}
	answer, err := m.next.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	switch {
	case request.Method == http.MethodGet && answer.StatusCode == http.StatusOK:
		return m.learn(request, answer)
	case request.Method == http.MethodPost && answer.StatusCode == http.StatusCreated:
	default:
		m.forget(request.URL.Path)
	}
	return answer, nil
}

func (m *remembering) list(collection string) *list {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	return m.lists[collection]
}

// forget forgets the collection at the path, and the one of the object at the path.
func (m *remembering) forget(at string) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	delete(m.lists, at)
	delete(m.lists, path.Dir(at))
}

// learn keeps the objects of an answer that is a list.
func (m *remembering) learn(request *http.Request, answer *http.Response) (*http.Response, error) {
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, err
	}
	if found, _, err := scheme.Codecs.UniversalDeserializer().Decode(body, nil, nil); err == nil && meta.IsListType(found) {
		if err := m.keep(request.URL.Path, found, answer.Header.Get("Content-Type")); err != nil {
			return nil, err
		}
	}
	return response(request, answer.StatusCode, answer.Header, body), nil
}

func (m *remembering) keep(collection string, from runtime.Object, contentType string) error {
	items, err := meta.ExtractList(from)
	if err != nil {
		return err
	}
	objects := make(map[string]runtime.Object, len(items))
	for _, item := range items {
		access, err := meta.Accessor(item)
		if err != nil {
			return err
		}
		objects[access.GetName()] = item
	}
	m.mutex.Lock()
	defer m.mutex.Unlock()
	if m.lists == nil {
		m.lists = map[string]*list{}
	}
	m.lists[collection] = &list{objects, contentType}
	return nil
}

// answer is what the server would say of one object.
func (l *list) answer(request *http.Request) (*http.Response, error) {
	info, known := runtime.SerializerInfoForMediaType(scheme.Codecs.SupportedMediaTypes(), l.contentType)
	if !known {
		return nil, fmt.Errorf("no decoder for %s", l.contentType)
	}
	collection, name := path.Split(request.URL.Path)
	object, status := l.objects[name], http.StatusOK
	if object == nil {
		missing := apierrors.NewNotFound(schema.GroupResource{Resource: path.Base(collection)}, name)
		object, status = &missing.ErrStatus, http.StatusNotFound
	}
	body := &bytes.Buffer{}
	encoder := runtime.WithVersionEncoder{Encoder: info.Serializer, ObjectTyper: scheme.Scheme}
	if err := encoder.Encode(object, body); err != nil {
		return nil, err
	}
	return response(request, status, http.Header{"Content-Type": {l.contentType}}, body.Bytes()), nil
}
