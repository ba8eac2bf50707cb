package components

import (
	"testing"

	"k8s.io/kube-openapi/pkg/common"
)

func TestTypesAreDefinedOnceUntilTheServerIsMade(t *testing.T) {
	defined := 0
	config := &common.OpenAPIV3Config{GetDefinitions: func(common.ReferenceCallback) map[string]common.OpenAPIDefinition {
		defined++
		return map[string]common.OpenAPIDefinition{}
	}}
	end := definitionsOnce(config)
	config.GetDefinitions(nil)
	config.GetDefinitions(nil)
	if defined != 1 {
		t.Errorf("defined %d times while the server is made", defined)
	}
	end()
	config.GetDefinitions(nil)
	if defined != 2 {
		t.Errorf("defined %d times in all", defined)
	}
}
