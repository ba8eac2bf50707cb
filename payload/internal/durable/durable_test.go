package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func content(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestWhatExt4KeepsForItselfIsNotRoom(t *testing.T) {
	for _, each := range [][3]uint64{
		{196608, 4096, 84}, {196608, 196608, 192596}, {10_000_000, 4096, 0}, {10_000_000, 5000, 904}, {49, 0, 0},
	} {
		if got := usable(each[0], each[1]); got != each[2] {
			t.Errorf("of %d blocks %d are free: %d usable, want %d", each[0], each[1], got, each[2])
		}
	}
}

func TestAFileIsReplacedWithItsModeAndNothingBeside(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "a", "b", "file")
	for _, text := range []string{"one", "the other"} {
		if err := WriteFile(path, []byte(text), 0o640); err != nil || content(t, path) != text {
			t.Fatalf("%v", err)
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode() != fs.FileMode(0o640) {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 1 {
		t.Errorf("%v, %v", entries, err)
	}
}

func TestWhatIsAsItShouldBeIsNotWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := Ensure(path, []byte("same"), 0o644); err != nil {
		t.Fatal(err)
	}
	before, _ := os.Stat(path)
	if err := Ensure(path, []byte("same"), 0o644); err != nil {
		t.Fatal(err)
	}
	if after, _ := os.Stat(path); !os.SameFile(before, after) {
		t.Error("the same content was written again")
	}
	if err := Ensure(path, []byte("same"), 0o600); err != nil {
		t.Fatal(err)
	}
	if after, _ := os.Stat(path); after.Mode() != fs.FileMode(0o600) {
		t.Errorf("mode %v", after.Mode())
	}
	if err := Ensure(path, []byte("other"), 0o600); err != nil || content(t, path) != "other" {
		t.Errorf("%v", err)
	}
}

// limitFileSize makes writes of this process fail beyond a size, as on a disk that has no room: with EFBIG, but
// after a part has been written.
func limitFileSize(t *testing.T, bytes uint64) {
	t.Helper()
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: bytes, Max: old.Max}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Setrlimit(syscall.RLIMIT_FSIZE, &old) })
}

func TestAFailedWriteLeavesTheOldFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := WriteFile(path, []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	limitFileSize(t, 4)
	if err := WriteFile(path, []byte("new and longer"), 0o644); err == nil {
		t.Fatal("no error")
	}
	if text := content(t, path); text != "old" {
		t.Errorf("content %q", text)
	}
	if _, err := os.Stat(path + ".new"); !os.IsNotExist(err) {
		t.Errorf("the half of the new one stays: %v", err)
	}
}

func TestTheReserveIsGivenUpOnce(t *testing.T) {
	reserve = filepath.Join(t.TempDir(), "reserve")
	t.Cleanup(func() { reserve = Reserve })
	if err := os.WriteFile(reserve, []byte("room"), 0o600); err != nil {
		t.Fatal(err)
	}
	if tight, err := MakeRoom(filepath.Dir(reserve), 1); err != nil || tight {
		t.Errorf("no room for a byte: %v", err)
	}
	if !GiveUpReserve() || GiveUpReserve() {
		t.Error("the reserve is there once")
	}
	if tight, err := MakeRoom(filepath.Dir(reserve), 1<<60); err != nil || !tight {
		t.Errorf("room for everything: %v", err)
	}
	full := &fs.PathError{Op: "write", Err: syscall.ENOSPC}
	if !IsFull(errors.Join(full)) || IsFull(syscall.EIO) || IsFull(nil) {
		t.Error("what a full disk is")
	}
}
