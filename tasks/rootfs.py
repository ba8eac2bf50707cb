"""The layers of the node's read-only root, as squashfs images: root, payload and overlay, lowest first."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from tasks import addons, payload, userland
from tasks.kernel import Files
from tasks.lib import squashfs
from tasks.lib.config import load_config
from tasks.lib.engine import Build, artifact
from tasks.lib.paths import BUILD, TOP
from tasks.lib.release import os_release
from tasks.lib.skeleton import finish, skeleton
from tasks.lib.squashfs import Compression
from tasks.lib.tree import Tree

OVERLAY_SOURCE = TOP / "overlay"
IMAGES_FOLDER = "usr/lib/kubesolo-os/images"
ROOT = BUILD / "root.squashfs"
OVERLAY = BUILD / "overlay.squashfs"

# Measured by ./doit bench: zstd is read many times faster than xz, xz is a sixth smaller.
COMPRESSION = {
    "root": Compression("zstd", 19, 1024),
    "payload": Compression("zstd", 19, 1024),
    "overlay": Compression("zstd", 15, 128),
}


def payload_image(provider: str) -> Path:
    """The payload layer of a provider."""
    return BUILD / f"payload-{provider}.squashfs"


def layers(provider: str) -> dict[str, Path]:
    """The root's images as they are called on the media, lowest layer first."""
    return {"root.squashfs": ROOT, "payload.squashfs": payload_image(provider), "overlay.squashfs": OVERLAY}


def preloaded(provider: str) -> list[Path]:
    """The OCI archives that the payload layer brings along; the stub runs no containers."""
    return [] if provider == "stub" else [addons.COREDNS, addons.PAUSE]


def write_layer(name: str, tree: Tree, b: Build) -> None:
    """Write one layer with its own compression."""
    squashfs.write(finish(tree), b.out, load_config().os.epoch, COMPRESSION[name], b.scratch)


def build_root(b: Build) -> None:
    """Programs and kernel modules."""
    tree = skeleton()
    tree.add_tar(userland.USERLAND)
    tree.add_tar(Files(load_config().kernel.flavour).modules)
    write_layer("root", tree, b)


def build_payload(provider: str, b: Build) -> None:
    """Kubernetes and the images it needs."""
    tree = skeleton()
    tree.add_tar(payload.archive(provider))
    for archive in preloaded(provider):
        tree.add_file(f"{IMAGES_FOLDER}/{archive.name}", archive)
    write_layer("payload", tree, b)


def build_overlay(b: Build) -> None:
    """The files of overlay/, and the system's name and version."""
    config = load_config()
    tree = skeleton()
    tree.add_folder(OVERLAY_SOURCE)
    tree.add_file("usr/lib/os-release", os_release(config.os.version, config.os.epoch))
    tree.chmod("etc/shadow", 0o640)
    write_layer("overlay", tree, b)


def task_rootfs() -> dict[str, object]:
    """The lowest layer."""
    config = load_config()
    return artifact(
        "rootfs",
        doc="root layer: programs and kernel modules",
        build=build_root,
        targets=[ROOT],
        files=[userland.USERLAND, Files(config.kernel.flavour).modules],
        values={"epoch": config.os.epoch, "flavour": config.kernel.flavour},
        tools=["tools"],
    )


def task_rootfs_payload() -> dict[str, object]:
    """The middle layer."""
    return payload_task(load_config().payload.provider, "parts")


def payload_task(provider: str, group: str) -> dict[str, object]:
    """The payload layer of one provider."""
    return artifact(
        f"rootfs-payload-{provider}",
        doc=f"payload layer, provider {provider}",
        build=partial(build_payload, provider),
        targets=[payload_image(provider)],
        files=[payload.archive(provider), *preloaded(provider)],
        values={"epoch": load_config().os.epoch},
        tools=["tools"],
        group=group,
    )


def task_rootfs_overlay() -> dict[str, object]:
    """The upper layer."""
    config = load_config()
    return artifact(
        "rootfs-overlay",
        doc="overlay layer: overlay/ and os-release",
        build=build_overlay,
        targets=[OVERLAY],
        trees=[OVERLAY_SOURCE],
        values={"epoch": config.os.epoch, "version": config.os.version},
        tools=["tools"],
    )
