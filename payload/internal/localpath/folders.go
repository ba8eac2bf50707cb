// Package localpath makes PersistentVolumes that are folders of the node, for claims of a StorageClass with its
// provisioner.
package localpath

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"kubesolo.io/os/payload/internal/durable"
)

// longestName is how long the name of a file may be (NAME_MAX of limits.h).
const longestName = 255

// folders is a folder that holds volumes, each a folder in it. What it does never leaves it, whatever links lie there.
type folders struct {
	base string
	// own says whether the base is the system's, which makes it; another one is a mount of an operator's, and
	// without it the volumes would lie somewhere else.
	own bool
}

// make makes the volume's folder, which any user of a pod may write to, and returns its path. One that is there is
// kept: the claim's object may have got lost after the first attempt.
func (f folders) make(name string) (string, error) {
	root, err := f.open()
	if err != nil {
		return "", err
	}
	defer root.Close()
	if err := root.Mkdir(name, 0o777); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	entry, err := root.Lstat(name)
	if err == nil && !entry.IsDir() {
		err = fmt.Errorf("%s is there and no folder", filepath.Join(f.base, name))
	}
	if err == nil {
		err = root.Chmod(name, 0o777) // whatever the umask is
	}
	if err == nil {
		err = durable.SyncDir(f.base)
	}
	return filepath.Join(f.base, name), err
}

// remove removes the volume's folder and all in it; none is fine.
func (f folders) remove(name string) error {
	root, err := f.open()
	if err != nil {
		return err
	}
	defer root.Close()
	return root.RemoveAll(name)
}

// holds returns the name of the volume whose folder the path is, and whether it can be one of this base.
func (f folders) holds(path string) (string, bool) {
	name := filepath.Base(path)
	return name, f.base != "" && strings.HasPrefix(name, prefix) && path == filepath.Join(f.base, name)
}

func (f folders) open() (*os.Root, error) {
	if f.own {
		if err := durable.MkdirAll(f.base, 0o711); err != nil {
			return nil, err
		}
	}
	root, err := os.OpenRoot(f.base)
	if err != nil {
		return nil, fmt.Errorf("folder of the volumes: %w", err)
	}
	return root, nil
}

// folderName is the volume's name, followed by that of its claim for whoever looks at the disk.
func folderName(volume, namespace, claim string) string {
	name := volume + "_" + namespace + "_" + claim
	return name[:min(len(name), longestName)]
}
