package airgap

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/leases"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/errdefs"

	"kubesolo.io/os/payload/internal/journal"
)

const (
	namespace   = "k8s.io"
	leasePrefix = "kubesolo-import-"
	recordsFile = "kubesolo-archives.json" // in containerd's folder
	// mountStick mounts a medium with archives and says where; it says nothing without one.
	mountStick = "/usr/lib/kubesolo-os/mount-images"
	// Spare is the part of the data partition, in percent, that must stay free: with less, kubelet removes images and
	// evicts pods (its default for imagefs.available).
	Spare = 15
	// saying is how often the progress is told.
	saying = 10 * time.Second
)

// Importer imports an operator's archives.
type Importer struct {
	Client *containerd.Client
	RunDir string // where the console's scripts look for progress and problems
	Root   string // containerd's folder
	Spare  int    // percent of its file system that must stay free

	problems []string
}

// Run imports what is new in the folder of the configuration and on a medium, and says what is wrong with the rest.
func (i *Importer) Run(ctx context.Context) error {
	ctx = namespaces.WithNamespace(ctx, namespace)
	wanted, err := readSettings(filepath.Join(i.RunDir, "cloud-init", "airgap"))
	if err != nil || !wanted.on {
		return err
	}
	paths, err := archives(wanted.folder)
	if err != nil {
		return err
	}
	stick := i.stick(ctx)
	if stick != "" {
		defer func() { _ = syscall.Unmount(stick, syscall.MNT_DETACH) }()
		for _, folder := range []string{stick, filepath.Join(stick, "images")} {
			more, err := archives(folder)
			if err != nil {
				journal.Warn("images", "%v", err)
			}
			paths = append(paths, more...)
		}
	}
	known := readRecords(filepath.Join(i.Root, recordsFile))
	for _, path := range paths {
		if err := i.one(ctx, known, path); err != nil && ctx.Err() == nil {
			i.complain(path, err)
		}
	}
	if ctx.Err() != nil {
		return nil
	}
	return errors.Join(i.dropLeases(ctx), i.report())
}

// stick returns where a medium with archives is mounted, "" without one.
func (i *Importer) stick(ctx context.Context) string {
	command := exec.CommandContext(ctx, mountStick)
	var complaint bytes.Buffer
	command.Stderr = &complaint
	where, err := command.Output()
	if err != nil && ctx.Err() == nil && !errors.Is(err, os.ErrNotExist) {
		i.problems = append(i.problems, "medium with images: "+strings.TrimSpace(complaint.String()))
		journal.Warn("images", "medium: %v: %s", err, strings.TrimSpace(complaint.String()))
	}
	return strings.TrimSpace(string(where))
}

// one imports an archive that has not been imported.
func (i *Importer) one(ctx context.Context, known records, path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if record, found := known.find(path, info); found {
		if record.Fault != "" {
			return fmt.Errorf("%s; as before, it is not read again until it changes", record.Fault)
		}
		if i.present(ctx, record.Images) {
			return nil
		}
	}
	names, err := i.read(ctx, path, info)
	if errors.Is(err, errDamaged) {
		return errors.Join(err, known.put(path, info, nil, err.Error()))
	}
	if err != nil {
		return err
	}
	journal.Say("images", "%s: imported %s", path, strings.Join(names, ", "))
	return known.put(path, info, names, "")
}

// present says whether all of an archive's images are still there, be it with other content by now.
func (i *Importer) present(ctx context.Context, names []string) bool {
	for _, name := range names {
		if _, err := i.Client.ImageService().Get(ctx, name); errdefs.IsNotFound(err) {
			return false
		}
	}
	return true
}

// read looks whether an archive is one and whether there is space, and imports it.
func (i *Importer) read(ctx context.Context, path string, info os.FileInfo) ([]string, error) {
	note := i.progress(path, info.Size())
	defer func() { _ = os.Remove(i.progressFile()) }()
	stream, err := open(path, note("reads"))
	if err != nil {
		return nil, err
	}
	found, err := look(stream)
	if err = errors.Join(err, stream.Close()); err != nil {
		return nil, err
	}
	keep, err := found.wanted()
	if err != nil {
		return nil, err
	}
	if err := enough(i.Root, found.space(keep), i.Spare); err != nil {
		return nil, err
	}
	if stream, err = open(path, note("imports")); err != nil {
		return nil, err
	}
	names, err := imported(ctx, i.Client, leaseName(path), stream, keep)
	return names, errors.Join(err, stream.Close())
}

// enough says how much space is missing where a folder lies, if any is.
func enough(folder string, needed int64, spare int) error {
	var found syscall.Statfs_t
	if err := syscall.Statfs(folder, &found); err != nil {
		return err
	}
	free := int64(found.Bavail) * int64(found.Bsize)
	missing := needed + int64(found.Blocks)*int64(found.Bsize)*int64(spare)/100 - free
	if missing > 0 {
		return fmt.Errorf("needs about %d MB, and %d %% of the data partition must stay free: %d MB are missing",
			needed/1e6, spare, missing/1e6+1)
	}
	return nil
}

// progress returns what notes how far an archive is, for the log every ten seconds and for the console.
func (i *Importer) progress(path string, size int64) func(doing string) func(at int64) {
	told := time.Now()
	return func(doing string) func(at int64) {
		return func(at int64) {
			if size == 0 || time.Since(told) < saying {
				return
			}
			told = time.Now()
			text := fmt.Sprintf("%s %s: %d %% of %d MB", doing, filepath.Base(path), at*100/size, size/1e6)
			journal.Say("images", "%s", text)
			_ = os.WriteFile(i.progressFile(), []byte(text+"\n"), 0o644)
		}
	}
}

func (i *Importer) progressFile() string { return filepath.Join(i.RunDir, "images-progress") }

func (i *Importer) complain(path string, err error) {
	text := strings.ReplaceAll(err.Error(), "\n", "; ")
	journal.Warn("images", "%s: skipped: %s", path, text)
	i.problems = append(i.problems, fmt.Sprintf("images: %s skipped: %s", filepath.Base(path), text))
}

// report leaves what was wrong where the console's screen shows it.
func (i *Importer) report() error {
	path := filepath.Join(i.RunDir, "problems", "images")
	if len(i.problems) == 0 {
		if err := os.Remove(path); !errors.Is(err, os.ErrNotExist) {
			return err
		}
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(strings.Join(i.problems, "\n")+"\n"), 0o644)
}

// dropLeases gives up what interrupted imports of archives have left that are not there any more.
func (i *Importer) dropLeases(ctx context.Context) error {
	held, err := i.Client.LeasesService().List(ctx)
	if err != nil {
		return err
	}
	var problems []error
	for _, lease := range held {
		if strings.HasPrefix(lease.ID, leasePrefix) {
			problems = append(problems, i.Client.LeasesService().Delete(ctx, leases.Lease{ID: lease.ID}))
		}
	}
	return errors.Join(problems...)
}

// leaseName is the lease of an archive's import.
func leaseName(path string) string {
	sum := sha256.Sum256([]byte(path))
	return leasePrefix + hex.EncodeToString(sum[:8])
}

// settings are those of the configuration's section airgap.
type settings struct {
	on     bool
	folder string
}

// readSettings reads what stage 45 of the boot has left (agent/config/render.py); without it the defaults count.
func readSettings(path string) (settings, error) {
	s := settings{on: true, folder: "/mnt/data/images"}
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return s, nil
	}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(strings.TrimRight(line, "\n"), "=")
		switch name {
		case "AIRGAP_IMPORT_IMAGES":
			s.on = value == "true"
		case "AIRGAP_IMAGES_DIR":
			s.folder = value
		}
	}
	return s, err
}
