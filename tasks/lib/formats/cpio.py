"""Initramfs segments: cpio archives in the "new ASCII" format.

Source: the kernel's Documentation/driver-api/early-userspace/buffer-format.rst.
"""

from __future__ import annotations

import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from tasks.lib.errors import BuildError
from tasks.lib.formats.tree import Entry, Tree

MAGIC = "070701"
MAGICS = (MAGIC.encode(), b"070702")  # the second one with checksums
HEADER = 110
TRAILER = "TRAILER!!!"
ALIGNMENT = 4
TYPES = {
    "file": stat.S_IFREG,
    "dir": stat.S_IFDIR,
    "symlink": stat.S_IFLNK,
    "char": stat.S_IFCHR,
    "block": stat.S_IFBLK,
}


def write(tree: Tree, stream: IO[bytes], epoch: int) -> None:
    """Write the tree as one uncompressed cpio archive; same tree and epoch, same bytes.

    epoch: the time of every entry, in seconds since 1970. The stream must stand at a multiple of 4 bytes.
    """
    for inode, (path, entry) in enumerate(tree.items(), start=1):
        link = entry.target.encode()
        size = len(link) or entry.size()
        stream.write(header(path, entry, inode, size, epoch) + link)
        if entry.kind == "file":
            copy_exactly(entry, stream, size)
        stream.write(padding(size))
    stream.write(header(TRAILER, Entry("file", 0), 0, 0, 0, file_type=0))


def header(path: str, entry: Entry, inode: int, size: int, epoch: int, file_type: int | None = None) -> bytes:
    """One entry's header and name, padded to 4 bytes."""
    name = path.encode() + b"\0"
    kind = TYPES[entry.kind] if file_type is None else file_type
    links = 2 if entry.kind == "dir" else 1
    fields = (inode, kind | entry.mode, 0, 0, links, epoch, size, 0, 0, *entry.device, len(name), 0)
    text = MAGIC.encode() + b"".join(b"%08X" % field for field in fields) + name
    return text + padding(len(text))


def padding(size: int) -> bytes:
    """The zero bytes that bring a length of `size` bytes to a multiple of 4."""
    return b"\0" * (-size % ALIGNMENT)


def copy_exactly(entry: Entry, stream: IO[bytes], size: int) -> None:
    """Copy `size` bytes of the entry's content."""
    with entry.open() as source:
        left = size
        while left:
            chunk = source.read(min(left, 1 << 20))
            if not chunk:
                raise OSError(f"{entry.content!r}: shorter than the {size} bytes it had")
            stream.write(chunk)
            left -= len(chunk)


def concatenate(segments: list[Path], out: Path) -> None:
    """Join segments, compressed or not, each at a multiple of 4 bytes as the kernel wants it."""
    with out.open("wb") as stream:
        for segment in segments:
            with segment.open("rb") as source:
                shutil.copyfileobj(source, stream, 1 << 20)
            stream.write(padding(stream.tell()))


def read(data: bytes, name: str) -> Iterator[tuple[str, int, bytes]]:
    """Path without leading slash, mode with file type, and content (a link's target) of every entry.

    data: one or more uncompressed archives behind each other, as an initramfs has them, zero bytes between.
    name: of the archive, for BuildError when it is damaged.
    """
    place = 0
    while (place := skip_zeros(data, place)) < len(data):
        head = data[place : place + HEADER]
        if len(head) < HEADER or head[:6] not in MAGICS:
            raise BuildError(f"{name}: not a cpio archive at byte {place}", "fetch it again")
        try:
            fields = [int(head[start : start + 8], 16) for start in range(6, HEADER, 8)]
        except ValueError as error:
            raise BuildError(f"{name}: damaged cpio header at byte {place}", "fetch it again") from error
        mode, size, length = fields[1], fields[6], fields[11]
        start = aligned(place + HEADER + length)
        if start + size > len(data):
            raise BuildError(f"{name}: the cpio archive ends in the middle of a file", "fetch it again")
        path = data[place + HEADER : place + HEADER + length - 1].decode(errors="replace")
        if path != TRAILER:
            yield path.removeprefix("./").strip("/"), mode, data[start : start + size]
        place = aligned(start + size)


def aligned(place: int) -> int:
    """The next multiple of 4 bytes."""
    return place + -place % ALIGNMENT


def skip_zeros(data: bytes, place: int) -> int:
    """Where the next archive begins; the end of the data when there is none."""
    while place < len(data) and data[place] == 0:
        place += 1
    return place
