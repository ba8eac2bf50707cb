// Package addons brings what every cluster needs beyond Kubernetes itself: images, cluster DNS and other objects, each
// set of which an operator can change or switch off.
package addons

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/dynamic"
)

// Addon is a set of objects that is there or not, as a whole.
type Addon struct {
	Name string
	Text []byte // the objects as YAML; none when the add-on is switched off
}

// digestAnnotation says from which manifest an object was made: one that has not changed is left alone.
const digestAnnotation = "kubesolo.io/manifest-sha256"

// decode reads the objects of an add-on and notes in each what it was made from.
func decode(text []byte) ([]*unstructured.Unstructured, error) {
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 4096)
	var objects []*unstructured.Unstructured
	for {
		object := &unstructured.Unstructured{}
		err := decoder.Decode(&object.Object)
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, err
		}
		if len(object.Object) == 0 {
			continue
		}
		source, err := json.Marshal(object.Object)
		if err != nil {
			return nil, err
		}
		digest := sha256.Sum256(source)
		annotations := object.GetAnnotations()
		if annotations == nil {
			annotations = map[string]string{}
		}
		annotations[digestAnnotation] = hex.EncodeToString(digest[:])
		object.SetAnnotations(annotations)
		objects = append(objects, object)
	}
}

// identity names an object; its text is a line of the record.
type identity struct{ apiVersion, kind, namespace, name string }

func of(object *unstructured.Unstructured) identity {
	return identity{object.GetAPIVersion(), object.GetKind(), object.GetNamespace(), object.GetName()}
}

func (i identity) String() string {
	return strings.Join([]string{i.apiVersion, i.kind, i.namespace + "/" + i.name}, " ")
}

func parseIdentity(line string) (identity, error) {
	fields := strings.Fields(line)
	if len(fields) != 3 {
		return identity{}, fmt.Errorf("%q names no object", line)
	}
	namespace, name, found := strings.Cut(fields[2], "/")
	if !found || name == "" {
		return identity{}, fmt.Errorf("%q names no object", line)
	}
	return identity{fields[0], fields[1], namespace, name}, nil
}

// resource is where the API has the object. The plural is guessed, which is right for all kinds of our manifests.
func (i identity) resource(client dynamic.Interface) dynamic.ResourceInterface {
	plural, _ := meta.UnsafeGuessKindToResource(schema.FromAPIVersionAndKind(i.apiVersion, i.kind))
	if i.namespace != "" {
		return client.Resource(plural).Namespace(i.namespace)
	}
	return client.Resource(plural)
}
