// Package durable writes files that are whole after a power cut, and that a full disk does not damage.
package durable

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"syscall"
)

// Reserve is a file that takes space on the data partition until nothing else is left of it: whoever first sees
// ENOSPC there removes it. Stage 20 of the boot makes it anew when there is room.
const Reserve = "/mnt/data/.reserve"

// reserve is Reserve, but for tests.
var reserve = Reserve

// GiveUpReserve makes room on a full data partition. It says whether there was something to give up.
func GiveUpReserve() bool { return os.Remove(reserve) == nil }

// MakeRoom gives up the reserve when fewer bytes than these are free where a folder lies. It says whether there is
// still less.
func MakeRoom(folder string, bytes uint64) (tight bool, err error) {
	if free, err := free(folder); err != nil || free >= bytes {
		return false, err
	}
	GiveUpReserve()
	left, err := free(folder)
	return left < bytes, err
}

func free(folder string) (uint64, error) {
	var found syscall.Statfs_t
	if err := syscall.Statfs(folder, &found); err != nil {
		return 0, err
	}
	return uint64(found.Bsize) * usable(found.Blocks, found.Bfree), nil
}

// usable is how many of the free blocks ext4 gives to root: of all it keeps a fiftieth, 4096 at most, for itself
// (ext4_calculate_resv_clusters in the kernel), and yet counts them as free.
func usable(blocks, free uint64) uint64 {
	kept := min(blocks/49, 4096) // blocks are without the file system's own, of which the kernel takes its part too
	return free - min(free, kept)
}

// IsFull says whether an error is that of a full disk.
func IsFull(err error) bool { return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) }

// WriteFile replaces a file as a whole: when it has returned nil the new one lasts, and before that, after a power
// cut or a failure, there is the old one. Its folder is made, lasting as well. On a full disk the reserve is
// given up for it.
func WriteFile(path string, data []byte, mode os.FileMode) error {
	err := replace(path, data, mode)
	if IsFull(err) && GiveUpReserve() {
		err = replace(path, data, mode)
	}
	return err
}

// Ensure is WriteFile for a file that need not be touched when it is as it should be: nothing is written then,
// and a full disk does no harm.
func Ensure(path string, data []byte, mode os.FileMode) error {
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, data) {
		if info, err := os.Stat(path); err == nil && info.Mode().Perm() == mode {
			return nil
		}
	}
	return WriteFile(path, data, mode)
}

// MkdirAll is os.MkdirAll for folders that last: each new one is recorded in the one above it.
func MkdirAll(path string, mode os.FileMode) error {
	above := filepath.Dir(path)
	if info, err := os.Stat(path); err == nil && info.IsDir() || above == path {
		return err
	}
	if err := MkdirAll(above, mode); err != nil {
		return err
	}
	if err := os.Mkdir(path, mode); err != nil && !os.IsExist(err) {
		return err
	}
	return SyncDir(above)
}

// SyncDir makes what a folder lists last: names that were added, replaced or removed.
func SyncDir(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

func replace(path string, data []byte, mode os.FileMode) error {
	if err := MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	if err := write(path+".new", data, mode); err != nil {
		return errors.Join(err, ignoreMissing(os.Remove(path+".new")))
	}
	if err := os.Rename(path+".new", path); err != nil {
		return errors.Join(err, os.Remove(path+".new"))
	}
	return SyncDir(filepath.Dir(path))
}

func write(path string, data []byte, mode os.FileMode) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	if _, err = file.Write(data); err == nil {
		if err = file.Chmod(mode); err == nil {
			err = file.Sync()
		}
	}
	return errors.Join(err, file.Close())
}

func ignoreMissing(err error) error {
	if os.IsNotExist(err) {
		return nil
	}
	return err
}
