package airgap

import (
	"encoding/json"
	"os"

	"kubesolo.io/os/payload/internal/durable"
)

// record is what became of an archive: the names of its images, or why it has none.
type record struct {
	Size   int64    `json:"size"`  // bytes
	Time   int64    `json:"mtime"` // of the file's last change, nanoseconds since 1970
	Images []string `json:"images,omitempty"`
	Fault  string   `json:"fault,omitempty"`
}

// records are those of all archives, by path. They lie with containerd's data, and go with it.
type records struct {
	path string
	of   map[string]record
}

// readRecords reads the file; one that is not there, or is none, means that nothing has been imported: what containerd
// has is not imported anew all the same, as its content is there.
func readRecords(path string) records {
	r := records{path, map[string]record{}}
	if text, err := os.ReadFile(path); err == nil {
		_ = json.Unmarshal(text, &r.of)
	}
	return r
}

// find returns an archive's record: only of a file that has not changed since.
func (r records) find(path string, info os.FileInfo) (record, bool) {
	found, there := r.of[path]
	return found, there && found.Size == info.Size() && found.Time == info.ModTime().UnixNano()
}

// put writes an archive's record.
func (r records) put(path string, info os.FileInfo, names []string, fault string) error {
	r.of[path] = record{info.Size(), info.ModTime().UnixNano(), names, fault}
	text, err := json.MarshalIndent(r.of, "", " ")
	if err != nil {
		return err
	}
	return durable.WriteFile(r.path, append(text, '\n'), 0o600)
}
