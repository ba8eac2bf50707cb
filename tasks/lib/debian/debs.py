"""Debian binary packages: their files, read through libarchive (format: deb(5))."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from tasks.lib.errors import BuildError


@dataclass(frozen=True)
class Member:
    """One entry of a package.

    path: relative, without "./"; "" is the root. mode: file type and permissions (stat(2)). size: bytes.
    mtime: seconds since 1970. link: a symlink's target, or the path of the entry that a hard link repeats
    (then hardlink is true). content: its blocks, to be read before the next member is asked for.
    """

    path: str
    mode: int
    size: int
    mtime: int
    link: str
    hardlink: bool
    content: Iterator[bytes]


class Blocks(io.RawIOBase):
    """An archive member's blocks as a stream, so that an archive inside an archive is read without a copy."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        super().__init__()
        self.blocks = blocks
        self.rest = memoryview(b"")

    def readable(self) -> bool:
        """It is for reading only."""
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 (any writable buffer, as in io)
        """Fill the buffer; 0 at the end."""
        while not self.rest:
            block = next(self.blocks, None)
            if block is None:
                return 0
            self.rest = memoryview(block)
        count = min(len(buffer), len(self.rest))
        memoryview(buffer).cast("B")[:count] = self.rest[:count]
        self.rest = self.rest[count:]
        return count


def entries(deb: Path, part: str = "data") -> Iterator[Member]:
    """The entries of a package's data (or, with part="control", of its control files), in archive order.

    Raises BuildError when the file is not a Debian package.
    """
    from libarchive.exception import ArchiveError
    from libarchive.read import fd_reader

    try:
        with deb.open("rb") as stream, fd_reader(stream.fileno(), format_name="ar") as outer:
            for member in outer:
                if member.pathname.startswith(f"{part}.tar"):
                    yield from tar_entries(Blocks(member.get_blocks()), deb)
                    return
    except ArchiveError as error:
        raise BuildError(f"{deb}: is not a Debian package: {error}") from error
    except OSError as error:
        raise BuildError(f"{deb}: can not be read: {error.strerror}") from error
    raise BuildError(f"{deb}: is not a Debian package: it has no {part}.tar")


def tar_entries(stream: Blocks, deb: Path) -> Iterator[Member]:
    """The entries of the tar archive that a stream holds."""
    from libarchive.read import stream_reader

    with stream_reader(stream, format_name="tar") as archive:
        for entry in archive:
            hardlink = not entry.issym and bool(entry.linkpath)
            yield Member(
                path=relative(entry.pathname, deb),
                mode=entry.mode,
                size=entry.size or 0,
                mtime=int(entry.mtime or 0),
                link=relative(entry.linkpath, deb) if hardlink else entry.linkpath or "",
                hardlink=hardlink,
                content=entry.get_blocks(),
            )


def relative(path: str, deb: Path) -> str:
    """A member's path without its leading "./"; one that leaves the package is refused."""
    parts = PurePosixPath(path).parts
    if ".." in parts:
        raise BuildError(f"{deb}: a member's path leaves the package: {path}")
    return "/".join(part for part in parts if part not in {"/", "."})


def extract(deb: Path, dest: Path) -> None:
    """Unpack a package's files below a folder; owners and times are not kept, device files are refused.

    Folders that exist (also as symlinks to folders) are merged into. Raises BuildError.
    """
    for member in entries(deb):
        target = dest / member.path
        try:
            place(member, target, dest)
        except OSError as error:
            raise BuildError(f"{target}: can not be unpacked from {deb.name}: {error.strerror}") from error


def place(member: Member, target: Path, dest: Path) -> None:
    """Write one entry."""
    if stat.S_ISDIR(member.mode):
        if not target.is_dir():
            target.mkdir(parents=True)
        # Always ours to write into: a package's read-only folder would refuse the next package's file.
        target.chmod(stat.S_IMODE(member.mode) | stat.S_IRWXU)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    if member.hardlink:
        target.hardlink_to(dest / member.link)
    elif stat.S_ISLNK(member.mode):
        target.symlink_to(member.link)
    elif stat.S_ISREG(member.mode):
        with target.open("wb") as stream:
            for block in member.content:
                stream.write(block)
            os.fchmod(stream.fileno(), stat.S_IMODE(member.mode))
    else:
        raise BuildError(f"{target}: a package brings a device file")


def control_file(deb: Path, name: str) -> str:
    """The text of one of the package's control files, e.g. "control" or "postinst"; "" when it has none."""
    for member in entries(deb, "control"):
        if member.path == name:
            return b"".join(member.content).decode(errors="replace")
    return ""
