"""Squashfs images written by sqfstar from a tar stream, so that neither root nor a mount is needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tasks.lib.debian import tools
from tasks.lib.formats.tree import Tree
from tasks.lib.process import run


@dataclass(frozen=True)
class Compression:
    """How an image is packed: squashfs compressor, its level (zstd) or filter (xz), block size in KiB.

    level: above 17, zstd takes half as long again and saves 0.1 %; with blocks of 1 MiB 4 %.
    filter: name of xz' filter for programs of the node's processor, tried beside none block by block.
    """

    name: Literal["zstd", "xz"]
    block: int
    level: int = 17
    filter: str = "x86"

    def options(self) -> list[str]:
        """sqfstar's options."""
        zstd = self.name == "zstd"
        extra = ["-Xcompression-level", str(self.level)] if zstd else ["-Xbcj", self.filter]
        return ["-comp", self.name, *extra, "-b", f"{self.block}K"]


def write(
    source: Tree | Path,
    out: Path,
    epoch: int,
    compression: Compression,
    scratch: Path,
    program: Sequence[str] | None = None,
    first: Sequence[str] = (),
) -> None:
    """Write a tree, or an uncompressed tar, as a squashfs image; same content and epoch, same bytes.

    epoch: the time of all entries, in seconds since 1970. scratch: a folder for the tree's tar.
    program: sqfstar, by default from the tools tree. first: files of a tree that come before all others, in
    this order.
    Raises BuildError when sqfstar fails.
    """
    sqfstar = list(program or tools.command("sqfstar"))
    fixed = ["-reproducible", "-mkfs-time", str(epoch), "-all-time", str(epoch), "-root-time", str(epoch)]
    root = ["-root-mode", "0755", "-root-uid", "0", "-root-gid", "0"]
    quiet = ["-quiet", "-no-progress", "-xattrs" if has_xattrs(source) else "-no-xattrs"]
    tar = source if isinstance(source, Path) else scratch / f"{out.name}.tar"
    if isinstance(source, Tree):
        source.write_tar(tar, epoch, first)
    out.unlink(missing_ok=True)
    with tar.open("rb") as stream:
        run([*sqfstar, *compression.options(), *fixed, *root, *quiet, out], stdin=stream)


def has_xattrs(source: Tree | Path) -> bool:
    """Whether there are extended attributes to keep; a tar is taken for having none."""
    return isinstance(source, Tree) and any(entry.xattrs for _, entry in source.items())
