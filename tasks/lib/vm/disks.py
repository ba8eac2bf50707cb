"""Disk images for virtual machines, written without root."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tasks.lib import process
from tasks.lib.debian import tools
from tasks.lib.formats.tree import Tree

DATA_LABEL = "KSOLODATA"
MIB = 1 << 20


def write_data_disk(path: Path, size: int, content: Tree | None = None, label: str = DATA_LABEL) -> None:
    """Write a sparse raw image that is one ext4 file system, owned by root throughout.

    size: in MiB. content: what it holds from the start. Raises BuildError when mke2fs fails.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".disk-", dir=path.parent) as folder:
        image = Path(folder, "disk.img")
        words = [*tools.command("mke2fs"), "-q", "-F", "-t", "ext4", "-L", label, "-E", "root_owner=0:0"]
        if content:
            archive = Path(folder, "content.tar")
            content.write_tar(archive, 0)
            words += ["-d", str(archive)]
        process.run([*words, image, f"{size}M"])
        image.rename(path)


def write_overlay(image: Path, folder: Path, size: int) -> Path:
    """A disk in `folder` that starts as the image is, and takes all writes; one that is there already stays.

    size: in MiB. The image stays with it, by another name: a new build makes another file. Raises BuildError
    when qemu-img fails.
    """
    overlay, base = folder / "disk.qcow2", folder / "disk.base.img"
    if overlay.exists():
        return overlay
    base.unlink(missing_ok=True)
    try:
        base.hardlink_to(image)
    except OSError:
        copy_disk(image, base)
    words: list[str | Path] = [
        "create",
        "-q",
        "-f",
        "qcow2",
        "-F",
        "raw",
        "-b",
        base.name,
        overlay,
        f"{size}M",
    ]
    process.run([*tools.command("qemu-img", set="qemu"), *words], cwd=folder)
    return overlay


def drop_overlay(folder: Path) -> None:
    """What has been written is forgotten."""
    for name in ("disk.qcow2", "disk.base.img"):
        (folder / name).unlink(missing_ok=True)


def copy_disk(source: Path, copy: Path) -> Path:
    """Copy a raw image; where it holds nothing, neither does the copy."""
    process.run(["cp", "--sparse=always", source, copy])
    return copy
