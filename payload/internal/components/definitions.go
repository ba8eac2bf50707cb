package components

import "k8s.io/kube-openapi/pkg/common"

// definitionsOnce has the types of the API defined once while the API server is made, not anew for each of its parts that
// installs groups: 1,400 types, 20 ms of a host's time each time, and many times that under emulation. Nobody changes what
// is defined but for additions that are the same every time. The function that it returns ends that and lets go of the memory.
func definitionsOnce(v3 *common.OpenAPIV3Config) (end func()) {
	define := v3.GetDefinitions
	var known map[string]common.OpenAPIDefinition
	v3.GetDefinitions = func(ref common.ReferenceCallback) map[string]common.OpenAPIDefinition {
		if known == nil {
			known = define(ref)
		}
		return known
	}
	return func() { v3.GetDefinitions = define }
}
