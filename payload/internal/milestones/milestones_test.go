package milestones

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

func TestAMilestoneIsOneLineAndRecordedOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run", "milestones")
	r := New(path)
	r.Reach(PayloadStart)
	r.Reach(NodeReady)
	r.Reach(NodeReady)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`^payload-start \d+\.\d\d\nnode-ready \d+\.\d\d\n$`).Match(text) {
		t.Errorf("got %q", text)
	}
}

func TestLinesOfOthersAreKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "milestones")
	if err := os.WriteFile(path, []byte("stage-90-kubesolo 6.10\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	New(path).Reach(Readyz)
	text, _ := os.ReadFile(path)
	if !regexp.MustCompile(`^stage-90-kubesolo 6.10\nreadyz \d+\.\d\d\n$`).Match(text) {
		t.Errorf("got %q", text)
	}
}
