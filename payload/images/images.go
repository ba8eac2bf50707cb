// Package images names the container images that come with the payload.
package images

import (
	_ "embed"
	"fmt"
	"strings"
)

//go:embed versions
var versions string

// Reference returns an image's full name. It panics for a name that the file versions lacks: a build error.
func Reference(name string) string {
	for line := range strings.Lines(versions) {
		if fields := strings.Fields(line); len(fields) == 2 && fields[0] == name {
			return fmt.Sprintf("kubesolo.io/%s:%s", name, fields[1])
		}
	}
	panic("payload/images/versions lacks " + name)
}
