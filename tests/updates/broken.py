"""Versions that are no good, made of good ones: what is changed is whole and signed, and does not work."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tasks import initramfs
from tasks.lib.formats import cpio, squashfs
from tasks.lib.formats.squashfs import Compression
from tasks.lib.target import Target
from tasks.skeleton import finish, skeleton

INITRAMFS = "kubesolo-os.gz"
PAYLOAD = "payload.squashfs"


def with_payload(files: Mapping[str, Path], target: Target, script: str, folder: Path) -> dict[str, Path]:
    """The files of a slot, with a script in the place of Kubernetes, and an initramfs that knows it."""
    folder.mkdir()
    tree = skeleton()
    tree.add_file("usr/bin/kubesolo", script.encode(), 0o755)
    image = folder / PAYLOAD
    squashfs.write(finish(tree), image, target.epoch, Compression("zstd", 128), folder)
    return with_images({**files, PAYLOAD: image}, target, folder)


def with_images(files: Mapping[str, Path], target: Target, folder: Path) -> dict[str, Path]:
    """The files, with an initramfs that has their digests."""
    images = {name: files[name] for name in initramfs.images(target)}
    segment, out = folder / "init.zst", folder / INITRAMFS
    initramfs.write_segment(initramfs.init_tree(images), segment, target.epoch, folder)
    cpio.concatenate([initramfs.drivers(target), segment], out)
    return {**files, INITRAMFS: out}
