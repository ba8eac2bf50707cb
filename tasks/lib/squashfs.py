"""Squashfs images written by sqfstar from a tar stream, so that neither root nor a mount is needed."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tasks.lib import tools
from tasks.lib.process import run
from tasks.lib.tree import Tree


@dataclass(frozen=True)
class Compression:
    """How an image is packed: squashfs compressor (zstd or xz), its level (zstd only), block size in KiB."""

    name: str
    level: int
    block: int

    def options(self) -> list[str]:
        """sqfstar's options."""
        level = ["-Xcompression-level", str(self.level)] if self.name == "zstd" else []
        return ["-comp", self.name, *level, "-b", f"{self.block}K"]


def write(
    source: Tree | Path, out: Path, epoch: int, compression: Compression, program: Sequence[str] | None = None
) -> None:
    """Write a tree, or an uncompressed tar, as a squashfs image; same content and epoch, same bytes.

    epoch: the time of all entries, in seconds since 1970. program: sqfstar, by default from the tools tree.
    Raises BuildError when sqfstar fails.
    """
    sqfstar = list(program or tools.command("sqfstar"))
    fixed = ["-reproducible", "-mkfs-time", str(epoch), "-all-time", str(epoch), "-root-time", str(epoch)]
    root = ["-root-mode", "0755", "-root-uid", "0", "-root-gid", "0"]
    quiet = ["-quiet", "-no-progress", "-no-xattrs"]
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as folder:
        tar = source if isinstance(source, Path) else Path(folder) / "tree.tar"
        if isinstance(source, Tree):
            source.write_tar(tar, epoch)
        out.unlink(missing_ok=True)
        with tar.open("rb") as stream:
            run([*sqfstar, *compression.options(), *fixed, *root, *quiet, out], stdin=stream)
