"""ext4 file systems written by mke2fs into a file, at any offset of it."""

from __future__ import annotations

import os
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tasks.lib.debian import tools
from tasks.lib.formats.tree import Tree
from tasks.lib.process import run


@dataclass(frozen=True)
class Shape:
    """A file system. offset: where in the file, in bytes; size in bytes. options: mke2fs' own."""

    label: str
    identity: uuid.UUID
    offset: int
    size: int
    options: Sequence[str] = ()


def write(image: Path, shape: Shape, epoch: int, scratch: Path, content: Tree | None = None) -> None:
    """Write a file system into an existing file, which must be all zeros there; same arguments, same bytes.

    epoch: its date, in seconds since 1970. scratch: a folder for the content as an archive. Raises
    BuildError when mke2fs fails, as when the content does not fit.
    """
    # What is zero already stays a hole: the journal and the tables of inodes.
    extended = f"offset={shape.offset},hash_seed={shape.identity},root_owner=0:0,assume_storage_prezeroed=1"
    words: list[str | Path] = [*tools.command("mke2fs"), "-q", "-F", "-t", "ext4", "-L", shape.label]
    words += ["-U", str(shape.identity), "-E", extended, *shape.options]
    if content is not None:
        archive = scratch / f"{shape.label}.tar"
        content.write_tar(archive, epoch)
        words += ["-d", archive]
    before = image.stat().st_size
    run([*words, image, f"{shape.size >> 10}k"], env={"E2FSPROGS_FAKE_TIME": str(epoch)})
    os.truncate(image, before)  # mke2fs makes a file as long as the file system is
