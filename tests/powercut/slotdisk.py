"""What is in the state of a disk with slots: the table as the kernel reads it, GRUB's files, the slots."""

from __future__ import annotations

import hashlib
import os
import subprocess
import zlib
from dataclasses import dataclass
from pathlib import Path

from tasks.diskimage import DATA, LAYOUT
from tasks.lib.debian import tools

SECTOR = 512
# Of the file system for data on a disk that was made from the image, or installed.
DATA_OFFSET = LAYOUT[DATA - 1].offset
ENTRY = 128
NAMES = {1: "KSOLOEFI", 2: "KSOLOA", 3: "KSOLOB", 4: "KSOLODATA", 5: "KSOLOBIOS"}


@dataclass(frozen=True)
class Place:
    """A partition, in sectors; last is part of it."""

    name: str
    first: int
    last: int


def table(disk: Path) -> dict[int, Place] | None:
    """The partitions by number; None when neither the first table nor the one at the disk's end is whole.

    As UEFI and Linux (with its parameter gpt) choose it: the first, if its sums are right (UEFI 2.10, 5.3.2).
    """
    size = disk.stat().st_size // SECTOR
    with disk.open("rb") as stream:
        for place in (1, size - 1):
            stream.seek(place * SECTOR)
            header = stream.read(92)
            if header[:8] != b"EFI PART":
                continue
            blank = header[:16] + bytes(4) + header[20:]
            start, count = int.from_bytes(header[72:80], "little"), int.from_bytes(header[80:84], "little")
            stream.seek(start * SECTOR)
            entries = stream.read(count * ENTRY)
            sums = (zlib.crc32(blank), zlib.crc32(entries))
            if sums == (number(header, 16, 4), number(header, 88, 4)):
                return {n + 1: entry for n in range(count) if (entry := parse(entries[n * ENTRY :][:ENTRY]))}
    return None


def number(data: bytes, offset: int, length: int) -> int:
    """An unsigned number, little endian."""
    return int.from_bytes(data[offset : offset + length], "little")


def parse(entry: bytes) -> Place | None:
    """One entry of a table."""
    if not any(entry[:16]):
        return None
    return Place(entry[56:].decode("utf-16-le").rstrip("\0"), number(entry, 32, 8), number(entry, 40, 8))


def esp_file(disk: Path, name: str, scratch: Path) -> bytes | None:
    """A file of the first partition, e.g. grub/grubenv; None when it is not there."""
    target = scratch / "esp-file"
    target.unlink(missing_ok=True)
    words = ["-c", "mcopy", "-n", "-i", f"{disk}@@{4096 * SECTOR}", f"::/{name}", str(target)]
    settings = {"MTOOLSRC": "/dev/null", "MTOOLS_SKIP_CHECK": "1", "PATH": "/usr/bin:/bin"}
    subprocess.run(
        [*tools.command("mtools"), *words], env=settings, capture_output=True, timeout=60, check=False
    )
    return target.read_bytes() if target.exists() else None


def starts(disk: Path, scratch: Path) -> bool:
    """Whether a firmware would start anything: boot code for BIOS, or the program for UEFI."""
    with disk.open("rb") as stream:
        if any(stream.read(440)):
            return True
    return bool(esp_file(disk, "EFI/BOOT/BOOTX64.EFI", scratch))


def extract(disk: Path, offset: int, target: Path) -> Path:
    """Copy what lies behind an offset, without its holes: e2fsck does not replay a journal inside a file."""
    size = disk.stat().st_size
    with disk.open("rb") as source, target.open("wb") as out:
        out.truncate(size - offset)
        place = offset
        while place < size:
            try:
                place = os.lseek(source.fileno(), place, os.SEEK_DATA)
            except OSError:  # nothing but a hole
                break
            end = os.lseek(source.fileno(), place, os.SEEK_HOLE)
            while place < end:
                data = os.pread(source.fileno(), min(1 << 20, end - place), place)
                os.pwrite(out.fileno(), data, place - offset)
                place += len(data)
    return target


def slot_digests(disk: Path, number: int, names: list[str], scratch: Path) -> dict[str, str]:
    """SHA-256 of files of a slot, by name; what is not there is left out."""
    found = {}
    first = {2: 528384, 3: 1576960}[number]
    for name in names:
        target = scratch / "slot-file"
        target.unlink(missing_ok=True)
        words = ["-R", f"dump {name} {target}", f"{disk}?offset={first * SECTOR}"]
        subprocess.run([*tools.command("debugfs"), *words], capture_output=True, timeout=120, check=False)
        if target.exists() and target.stat().st_size:
            found[name] = hashlib.sha256(target.read_bytes()).hexdigest()
    return found
