// Package nstest gives tests a network of their own.
package nstest

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// inside is set in the process that runs in namespaces of its own.
const inside = "KUBESOLO_TEST_NAMESPACE"

// Enter runs the test again in new user and network namespaces, where it may do as it likes; true: this is that run,
// false: it has passed there. It is skipped where nobody may make such namespaces, and when it skips there.
func Enter(t *testing.T) bool {
	t.Helper()
	if os.Getenv(inside) != "" {
		return true
	}
	again := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v")
	again.Env = append(os.Environ(), inside+"=1")
	again.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	output, err := again.CombinedOutput()
	var status *exec.ExitError
	switch {
	case err != nil && !errors.As(err, &status):
		t.Skipf("no namespaces of its own: %v", err)
	case err != nil:
		t.Fatalf("in a namespace:\n%s", output)
	case strings.Contains(string(output), "--- SKIP"):
		t.Skipf("in a namespace:\n%s", output)
	}
	t.Logf("in a namespace:\n%s", output)
	return false
}
