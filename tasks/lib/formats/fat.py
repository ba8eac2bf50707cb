"""FAT file systems written by mkfs.fat and mtools, such as the EFI system partitions of media and disks."""

from __future__ import annotations

import os
import posixpath
from pathlib import Path

from tasks.lib.debian import tools
from tasks.lib.formats.tree import Tree
from tasks.lib.process import run

SECTOR = 512
CLUSTER = 2048
# File allocation tables, root folder and reserved sectors of an image this small, generously.
OVERHEAD = 128 << 10
ALIGNMENT = 64 << 10


def write(tree: Tree, out: Path, epoch: int, volume_id: int, label: str, scratch: Path) -> None:
    """Write the tree as a FAT image that is just large enough; same arguments, same bytes.

    epoch: the time of all entries, in seconds since 1970. volume_id: the 32-bit serial number. label: up to
    11 capitals and digits. scratch: a folder for copies. Raises BuildError when a tool fails.
    """
    clusters = sum(-(-entry.size() // CLUSTER) + 1 for _, entry in tree.items())
    size = -(-(clusters * CLUSTER + OVERHEAD) // ALIGNMENT) * ALIGNMENT
    out.unlink(missing_ok=True)
    out.write_bytes(b"")
    os.truncate(out, size)
    shape = ["--invariant", "-F", "12", "-s", str(CLUSTER // SECTOR), "-i", f"{volume_id:08x}", "-n", label]
    run([*tools.command("mkfs.fat"), *shape, out])
    copy(tree, str(out), epoch, scratch)


def write_at(
    tree: Tree, disk: Path, place: tuple[int, int], epoch: int, volume_id: int, label: str, scratch: Path
) -> None:
    """Write the tree as a FAT32 file system into an existing file; same arguments, same bytes.

    place: offset and size in bytes, both of whole KiB; the other arguments are those of write(). Clusters
    have 512 bytes, since FAT32 is what has at least 65,525 of them (fatgen103, "FAT Type Determination").
    """
    offset, size = place
    shape = ["--invariant", "-F", "32", "-s", "1", "-i", f"{volume_id:08x}", "-n", label]
    run([*tools.command("mkfs.fat"), *shape, "--offset", str(offset // SECTOR), disk, str(size >> 10)])
    copy(tree, f"{disk}@@{offset}", epoch, scratch)


def copy(tree: Tree, image: str, epoch: int, scratch: Path) -> None:
    """Copy a tree into a file system that is named as mtools names it: FILE or FILE@@OFFSET."""
    for number, (path, entry) in enumerate(tree.items()):
        target = f"::/{path}"
        if entry.kind == "dir":
            mtools("mmd", ["-i", image, target], epoch)
            continue
        source = scratch / f"{number}-{posixpath.basename(path)}"
        source.write_bytes(entry.read())
        os.utime(source, (epoch, epoch))
        mtools("mcopy", ["-m", "-i", image, source, target], epoch)


def mtools(command: str, arguments: list[str | Path], epoch: int) -> None:
    """Run one of mtools' commands with a fixed clock and without the host's configuration."""
    settings = {"SOURCE_DATE_EPOCH": str(epoch), "MTOOLSRC": "/dev/null", "MTOOLS_SKIP_CHECK": "1"}
    run([*tools.command("mtools"), "-c", command, *arguments], env=settings)
