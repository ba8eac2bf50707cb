"""One node of a tree that an image will contain, and its header in a tar."""

from __future__ import annotations

import io
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

Kind = Literal["file", "dir", "symlink", "char", "block"]
XATTR = "SCHILY.xattr."


@dataclass(frozen=True)
class Slice:
    """Bytes offset … offset+size of a file: the content of a member of an uncompressed tar."""

    path: Path
    offset: int
    size: int


Content = bytes | Path | Slice


@dataclass(frozen=True)
class Entry:
    """One node of the tree: mode holds the permission bits only (0-0o7777), xattrs are sorted by name."""

    kind: Kind
    mode: int
    content: Content = b""
    target: str = ""
    device: tuple[int, int] = (0, 0)
    owner: tuple[int, int] = (0, 0)
    xattrs: tuple[tuple[str, str], ...] = ()

    def size(self) -> int:
        """Length of the content in bytes; 0 for all but files."""
        match self.content:
            case bytes():
                return len(self.content)
            case Slice():
                return self.content.size
            case _:
                return self.content.stat().st_size

    def open(self) -> BinaryIO:
        """The content as a stream; a Slice's stream may hold more than size() bytes after its end."""
        match self.content:
            case bytes():
                return io.BytesIO(self.content)
            case Slice():
                stream = self.content.path.open("rb")
                stream.seek(self.content.offset)
                return stream
            case _:
                return self.content.open("rb")

    def read(self) -> bytes:
        """The whole content."""
        with self.open() as stream:
            return stream.read(self.size())


TAR_TYPES: dict[Kind, bytes] = {
    "file": tarfile.REGTYPE, "dir": tarfile.DIRTYPE, "symlink": tarfile.SYMTYPE,
    "char": tarfile.CHRTYPE, "block": tarfile.BLKTYPE,
}  # fmt: skip


def tar_header(name: str, entry: Entry, epoch: int) -> tarfile.TarInfo:
    """The tar header of an entry: owner without names, time `epoch`, attributes as GNU tar has them."""
    header = tarfile.TarInfo(name)
    header.type = TAR_TYPES[entry.kind]
    header.mode = entry.mode
    header.mtime = epoch
    header.size = entry.size() if entry.kind == "file" else 0
    header.linkname = entry.target
    header.devmajor, header.devminor = entry.device
    header.uid, header.gid = entry.owner
    header.pax_headers = {f"{XATTR}{key}": value for key, value in entry.xattrs}
    return header
