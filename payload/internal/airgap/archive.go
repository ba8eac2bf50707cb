// Package airgap imports archives of images that an operator has put on the node: OCI layouts and those of
// `docker save`, as tar, tar.gz or tar.zst.
package airgap

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/containerd/containerd/v2/pkg/archive/compression"
	"github.com/containerd/platforms"
	digest "github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const (
	// small members are kept in memory while an archive is surveyed: its indexes, manifests and configurations.
	small = 4 << 20
	// inMemory is how much of them there may be; no image has nearly as much.
	inMemory = 64 << 20
	// growth is how much larger files are taken to be than their compressed layer: programs are 2 to 3 times as large.
	growth = 3
)

// errDamaged is the reason when the archive itself is at fault: reading it again would be in vain.
var errDamaged = errors.New("damaged, or no archive of images")

func damaged(format string, args ...any) error {
	return fmt.Errorf("%w: %w", errDamaged, fmt.Errorf(format, args...))
}

// suffixes are the names that archives have.
var suffixes = []string{".tar", ".tar.gz", ".tgz", ".tar.zst", ".tar.zstd"}

// archives lists the archives in a folder, by name; a folder that is not there has none.
func archives(folder string) ([]string, error) {
	entries, err := os.ReadDir(folder)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	var paths []string
	for _, entry := range entries {
		named := slices.ContainsFunc(suffixes, func(suffix string) bool { return strings.HasSuffix(entry.Name(), suffix) })
		if named && !strings.HasPrefix(entry.Name(), ".") {
			paths = append(paths, filepath.Join(folder, entry.Name()))
		}
	}
	return paths, err
}

// open opens an archive for reading its tar; passed gets how far its file has been read.
func open(path string, passed func(bytes int64)) (io.ReadCloser, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	head := make([]byte, 10)
	read, err := io.ReadFull(file, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return nil, errors.Join(err, file.Close())
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	counted := &counter{file: file, passed: passed}
	if compression.DetectCompression(head[:read]) == compression.Uncompressed {
		return counted, nil
	}
	stream, err := compression.DecompressStream(struct{ io.Reader }{counted})
	if err != nil {
		return nil, errors.Join(damaged("%w", err), file.Close())
	}
	return closer{stream, func() error { return errors.Join(stream.Close(), file.Close()) }}, nil
}

// counter is a file that says how far it has been read. A tar that is not compressed is skipped through with Seek.
type counter struct {
	file   *os.File
	passed func(int64)
}

func (c *counter) Read(buffer []byte) (int, error) {
	read, err := c.file.Read(buffer)
	if at, failed := c.file.Seek(0, io.SeekCurrent); failed == nil {
		c.passed(at)
	}
	return read, err
}

func (c *counter) Seek(offset int64, whence int) (int64, error) { return c.file.Seek(offset, whence) }
func (c *counter) Close() error                                 { return c.file.Close() }

type closer struct {
	io.Reader
	close func() error
}

func (c closer) Close() error { return c.close() }

// survey is what an archive says of itself.
type survey struct {
	small  map[string][]byte // members that are JSON
	sizes  map[string]int64  // sizes of all files
	packed map[string]bool   // those that are compressed
}

// look reads an archive's headers and small members; a compressed one is read as a whole.
func look(reader io.Reader) (survey, error) {
	s := survey{map[string][]byte{}, map[string]int64{}, map[string]bool{}}
	members := tar.NewReader(reader)
	kept := int64(0)
	for {
		header, err := members.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return s, readError(err)
		}
		if header.Typeflag != tar.TypeReg {
			continue
		}
		name := path.Clean(header.Name)
		s.sizes[name] = header.Size
		head := make([]byte, min(header.Size, 10))
		if _, err := io.ReadFull(members, head); err != nil {
			return s, readError(err)
		}
		s.packed[name] = compression.DetectCompression(head) != compression.Uncompressed
		isJSON := len(head) > 0 && (head[0] == '{' || head[0] == '[')
		if !isJSON || header.Size > small || kept+header.Size > inMemory {
			continue
		}
		rest, err := io.ReadAll(members)
		if err != nil {
			return s, readError(err)
		}
		s.small[name] = append(head, rest...)
		kept += header.Size
	}
	if s.small[ocispec.ImageIndexFile] == nil && s.small["manifest.json"] == nil {
		return s, damaged("it has neither index.json nor manifest.json")
	}
	return s, nil
}

// readError tells a damaged archive from one that can not be read now, such as on a stick that was pulled.
func readError(err error) error {
	var access *os.PathError
	if errors.As(err, &access) {
		return err
	}
	return damaged("%w", err)
}

// wanted names the members that images for this machine need; nil means all, of archives of `docker save`.
func (s survey) wanted() (map[string]bool, error) {
	text := s.small[ocispec.ImageIndexFile]
	if text == nil {
		return nil, nil
	}
	keep := map[string]bool{ocispec.ImageIndexFile: true, ocispec.ImageLayoutFile: true}
	return keep, s.follow(text, ocispec.ImageIndexFile, keep, 0)
}

// follow adds what an index or a manifest needs.
func (s survey) follow(text []byte, name string, keep map[string]bool, depth int) error {
	var found struct {
		Manifests []ocispec.Descriptor `json:"manifests"`
		Config    *ocispec.Descriptor  `json:"config"`
		Layers    []ocispec.Descriptor `json:"layers"`
	}
	if err := json.Unmarshal(text, &found); err != nil {
		return damaged("%s: %w", name, err)
	}
	if depth > 8 {
		return damaged("%s: indexes within indexes", name)
	}
	for _, child := range found.Manifests {
		if child.Platform != nil && !platforms.Default().Match(*child.Platform) {
			continue
		}
		blob := blobPath(child.Digest)
		keep[blob] = true
		if below := s.small[blob]; below != nil {
			if err := s.follow(below, blob, keep, depth+1); err != nil {
				return err
			}
		}
	}
	if found.Config != nil {
		found.Layers = append(found.Layers, *found.Config)
	}
	for _, child := range found.Layers {
		blob := blobPath(child.Digest)
		if _, there := s.sizes[blob]; !there {
			return damaged("%s needs %s, which is not in it", name, blob)
		}
		keep[blob] = true
	}
	return nil
}

func blobPath(d digest.Digest) string {
	return path.Join(ocispec.ImageBlobsDir, d.Algorithm().String(), d.Encoded())
}

// space is about how many bytes an import needs at its most, when the archive's members and their files are both there.
func (s survey) space(keep map[string]bool) int64 {
	needed := int64(0)
	for name, size := range s.sizes {
		switch {
		case keep != nil && !keep[name]:
		case s.packed[name]:
			needed += size * (1 + growth)
		default:
			needed += size * 2
		}
	}
	return needed
}
