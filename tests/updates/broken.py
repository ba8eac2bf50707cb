"""Versions that are no good, made of good ones: what is changed is whole and signed, and does not work."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tasks import initramfs, python, rootfs
from tasks.lib.engine import Build
from tasks.lib.formats import cpio, squashfs
from tasks.lib.formats.squashfs import Compression
from tasks.lib.target import Target
from tasks.skeleton import finish, skeleton

INITRAMFS = "kubesolo-os.gz"
PAYLOAD = "payload.squashfs"
OVERLAY = "overlay.squashfs"


def with_payload(
    files: Mapping[str, Path], target: Target, version: str, script: str, folder: Path
) -> dict[str, Path]:
    """The files of a slot as another version, with a script in the place of Kubernetes."""
    folder.mkdir()
    tree = skeleton()
    tree.add_file("usr/bin/kubesolo", script.encode(), 0o755)
    image = folder / PAYLOAD
    squashfs.write(finish(tree), image, target.epoch, Compression("zstd", 128), folder)
    return with_version({**files, PAYLOAD: image}, target, version, folder)


def with_version(files: Mapping[str, Path], target: Target, version: str, folder: Path) -> dict[str, Path]:
    """The files, which call themselves this version."""
    overlay, scratch = folder / OVERLAY, folder / "scratch"
    scratch.mkdir()
    values = {"epoch": target.epoch, "version": version, "keys": (), "for_tests": True}
    build = Build([overlay], scratch, values=values)
    rootfs.build_overlay(python.agent(target), target.arch.name, target.arch.bcj, build)
    return with_images({**files, OVERLAY: overlay}, target, folder)


def with_images(files: Mapping[str, Path], target: Target, folder: Path) -> dict[str, Path]:
    """The files, with an initramfs that has their digests."""
    images = {name: files[name] for name in initramfs.images(target)}
    segment, out = folder / "init.zst", folder / INITRAMFS
    initramfs.write_segment(initramfs.init_tree(images), segment, target.epoch, folder)
    cpio.concatenate([initramfs.drivers(target), segment], out)
    return {**files, INITRAMFS: out}
