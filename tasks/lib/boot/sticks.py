"""The disks of the machine that builds: which ones an image may be written to, and the writing.

Sources: Linux, Documentation/ABI/stable/sysfs-block; proc(5), /proc/self/mountinfo and /proc/swaps.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tasks.lib.errors import BuildError

SECTOR = 512
CHUNK = 4 << 20
IGNORED = ("loop", "ram", "zram", "sr", "fd", "nbd", "md", "dm-")


@dataclass(frozen=True)
class Disk:
    """A whole disk. size in bytes. portable: it can be pulled out. uses: what it is in use for, in words."""

    name: str
    model: str
    size: int
    portable: bool
    uses: tuple[str, ...]

    def __str__(self) -> str:
        kind = "removable" if self.portable else "fixed"
        use = f"; in use: {', '.join(self.uses)}" if self.uses else ""
        return f"/dev/{self.name}  {self.model}, {self.size / 1e9:.1f} GB, {kind}{use}"


def disks(root: Path = Path("/")) -> list[Disk]:
    """All disks of the machine; root: where its sys and proc lie."""
    found = []
    uses = in_use(root)
    for place in sorted((root / "sys/class/block").iterdir()):
        if (place / "partition").exists() or place.name.startswith(IGNORED):
            continue
        sectors = int(text(place / "size") or 0)
        numbers = {text(path) for path in (place / "dev", *place.glob("*/dev"))}
        mine = tuple(sorted(use for number, use in uses if number in numbers))
        mine += tuple(
            f"part of {path.name}" for path in (*place.glob("holders/*"), *place.glob("*/holders/*"))
        )
        portable = text(place / "removable") == "1" or "/usb" in str(place.resolve())
        model = text(place / "device/model") or text(place / "device/name") or "disk"
        found.append(Disk(place.name, model, sectors * SECTOR, portable, mine))
    return found


def text(path: Path) -> str:
    """The content of a small file, "" when there is none."""
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""


def in_use(root: Path) -> list[tuple[str, str]]:
    """Device numbers (major:minor) of what is mounted or swapped to, and in words for what."""
    found = []
    for line in text(root / "proc/self/mountinfo").splitlines():
        fields = line.split()
        found.append((fields[2], f"mounted at {fields[4]}"))
    for line in text(root / "proc/swaps").splitlines()[1:]:
        name = Path(line.split()[0]).name
        found.append((text(root / "sys/class/block" / name / "dev"), "swap"))
    return found


def choose(device: str, size: int, *, fixed: bool, root: Path = Path("/")) -> Disk:
    """The disk that is meant by a path, fit to be written to with `size` bytes.

    fixed: whether it may be one that can not be pulled out. Raises BuildError with one sentence otherwise.
    """
    known = {disk.name: disk for disk in disks(root)}
    name = Path(device).name if device.startswith("/dev/") else device
    if (root / "sys/class/block" / name / "partition").exists():
        raise BuildError(f"{device} is a partition", "name the whole disk")
    if name not in known:
        raise BuildError(f"{device} is no disk of this machine", "./doit usb --list shows which there are")
    disk = known[name]
    if disk.uses:
        raise BuildError(
            f"{device} is in use: {', '.join(disk.uses)}", "unmount it, if that is the right one"
        )
    if not disk.portable and not fixed:
        raise BuildError(f"{device} is a fixed disk ({disk.model})", "--fixed, if it is meant all the same")
    if disk.size < size:
        raise BuildError(f"{device} is {size - disk.size} bytes too small for the image")
    return disk


def write(image: Path, device: Path, progress: Callable[[int, int], None]) -> None:
    """Write an image to a disk, wait for it, and compare what can be read back.

    progress: is told bytes done and bytes to do, writing and comparing together. Raises BuildError.
    """
    size = image.stat().st_size
    flags = os.O_RDWR | os.O_CLOEXEC | (os.O_EXCL if device.is_block_device() else 0)
    try:
        target = os.open(device, flags)
    except OSError as error:
        raise BuildError(f"{device} can not be written: {error.strerror}", "run it as root") from error
    try:
        with image.open("rb") as source:
            copy(source.fileno(), target, size, progress)
            os.fsync(target)
            os.posix_fadvise(target, 0, 0, os.POSIX_FADV_DONTNEED)
            compare(source.fileno(), target, size, progress)
    except OSError as error:
        raise BuildError(f"{device}: {error.strerror}; what is on it now is of no use") from error
    finally:
        os.close(target)


def copy(source: int, target: int, size: int, progress: Callable[[int, int], None]) -> None:
    """Copy piece by piece; flushed now and then, so that progress means something."""
    for offset in range(0, size, CHUNK):
        piece = os.pread(source, CHUNK, offset)
        done = 0
        while done < len(piece):
            done += os.pwrite(target, piece[done:], offset + done)
        if offset % (16 * CHUNK) == 0:
            os.fsync(target)
        progress(offset + len(piece), 2 * size)


def compare(source: int, target: int, size: int, progress: Callable[[int, int], None]) -> None:
    """Read both; BuildError at the first difference."""
    for offset in range(0, size, CHUNK):
        piece = os.pread(source, CHUNK, offset)
        if os.pread(target, len(piece), offset) != piece:
            raise BuildError(f"what was written reads back differently, at byte {offset} or later")
        progress(size + offset + len(piece), 2 * size)
