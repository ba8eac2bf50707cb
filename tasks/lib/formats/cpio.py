"""Initramfs segments: cpio archives in the "new ASCII" format.

Source: the kernel's Documentation/driver-api/early-userspace/buffer-format.rst.
"""

from __future__ import annotations

import shutil
import stat
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from tasks.lib.errors import BuildError
from tasks.lib.formats.entry import Entry
from tasks.lib.formats.tree import Tree

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


@dataclass(frozen=True)
class Member:
    """One entry that was read: path without leading slash, mode with file type, content (a link's target).

    inode: what hard links have in common in an archive; None for what has no others.
    """

    path: str
    mode: int
    content: bytes
    inode: tuple[int, int, int] | None


def read(data: bytes, name: str) -> list[Member]:
    """The entries of one or more uncompressed archives behind each other, with zero bytes between.

    That is how the kernel takes an initramfs; libarchive stops at the end of the first one. Of hard links,
    only the last has the content in the archive; here, all of them have.
    name: of the archive, for BuildError when it is damaged.
    """
    found: list[Member] = []
    archive: list[Member] = []
    place = 0
    while (place := skip_zeros(data, place)) < len(data):
        member, place = next_member(data, place, name)
        if member.path != TRAILER:
            archive.append(member)
        else:
            found, archive = [*found, *with_links(archive)], []
    return [*found, *with_links(archive)]


def with_links(archive: list[Member]) -> list[Member]:
    """The entries of one archive, all hard links with their content."""
    contents = {member.inode: member.content for member in archive if member.inode and member.content}
    return [
        replace(member, content=contents.get(member.inode, b"")) if member.inode else member
        for member in archive
    ]


def next_member(data: bytes, place: int, name: str) -> tuple[Member, int]:
    """The entry that begins here, and where the next one does."""
    head = data[place : place + HEADER]
    if len(head) < HEADER or head[:6] not in MAGICS:
        raise BuildError(f"{name}: not a cpio archive at byte {place}", "fetch it again")
    try:
        fields = [int(head[start : start + 8], 16) for start in range(6, HEADER, 8)]
    except ValueError as error:
        raise BuildError(f"{name}: damaged cpio header at byte {place}", "fetch it again") from error
    inode, mode, links, size, length = fields[0], fields[1], fields[4], fields[6], fields[11]
    start = aligned(place + HEADER + length)
    if start + size > len(data):
        raise BuildError(f"{name}: the cpio archive ends in the middle of a file", "fetch it again")
    path = data[place + HEADER : place + HEADER + length - 1].decode(errors="replace")
    linked = stat.S_ISREG(mode) and links > 1
    member = Member(
        path.removeprefix("./").strip("/"),
        mode,
        data[start : start + size],
        (inode, fields[7], fields[8]) if linked else None,
    )
    return member, aligned(start + size)


def aligned(place: int) -> int:
    """The next multiple of 4 bytes."""
    return place + -place % ALIGNMENT


def skip_zeros(data: bytes, place: int) -> int:
    """Where the next archive begins; the end of the data when there is none."""
    while place < len(data) and data[place] == 0:
        place += 1
    return place
