package node

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

const cgroupRoot = "/sys/fs/cgroup"

// DelegateCgroups makes the unified hierarchy (cgroups(7), kernel's cgroup-v2.rst) ready for kubelet: the
// root's processes move to leaves, so that the root may hand its controllers down.
func DelegateCgroups() error {
	return delegate(cgroupRoot, os.Getpid())
}

func delegate(root string, self int) error {
	available, err := os.ReadFile(filepath.Join(root, "cgroup.controllers"))
	if err != nil {
		return fmt.Errorf("no unified cgroup hierarchy at %s: %w", root, err)
	}
	for _, group := range []string{"init", "kubesolo"} {
		if err := os.Mkdir(filepath.Join(root, group), 0o755); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	// Whatever group the supervisor is in: the payload, and the shims that it starts, have their own.
	if err := move(root, "kubesolo", self); err != nil {
		return fmt.Errorf("move to cgroup kubesolo: %w", err)
	}
	members, err := os.ReadFile(filepath.Join(root, "cgroup.procs"))
	if err != nil {
		return err
	}
	for _, field := range strings.Fields(string(members)) {
		pid, err := strconv.Atoi(field)
		if err != nil || pid <= 0 {
			continue
		}
		// Kernel threads can not move (EINVAL), and a process may have ended (ESRCH).
		if err := move(root, "init", pid); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("move process %d to cgroup init: %w", pid, err)
		}
	}
	return enable(root, strings.Fields(string(available)))
}

func move(root, group string, pid int) error {
	return os.WriteFile(filepath.Join(root, group, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0o644)
}

func enable(root string, controllers []string) error {
	var missing []string
	for _, controller := range controllers {
		err := os.WriteFile(filepath.Join(root, "cgroup.subtree_control"), []byte("+"+controller), 0o644)
		if err != nil && needed[controller] {
			missing = append(missing, fmt.Sprintf("%s (%v)", controller, errors.Unwrap(err)))
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("cgroup controllers can not be delegated: %s", strings.Join(missing, ", "))
	}
	return nil
}

// needed are the controllers without which kubelet does not start.
var needed = map[string]bool{"cpu": true, "cpuset": true, "memory": true, "pids": true}
