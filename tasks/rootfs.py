"""The node's read-only root: a stack of squashfs images, each packed for how it is read.

What is read when a node starts is packed with zstd, which is read seven times faster than xz; drivers, of
which each machine reads a few, with xz, which is an eighth smaller. An edit repacks one layer.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tasks import addons, payload, userland
from tasks.kernel import Files
from tasks.lib.config import load_config
from tasks.lib.engine import Build, artifact
from tasks.lib.formats import squashfs
from tasks.lib.formats.squashfs import Compression
from tasks.lib.formats.tree import Tree
from tasks.lib.paths import BUILD, TOP
from tasks.lib.release.manifest import os_release
from tasks.skeleton import finish, skeleton

OVERLAY_SOURCE = TOP / "overlay"
IMAGES_FOLDER = "usr/lib/kubesolo-os/images"
# Programs and the modules of every node; drivers of hardware; Kubernetes; what containers need; overlay/.
# Where memory is short, a page that is needed again costs its whole block: 256 KiB cost 6 % more space than
# 1 MiB and save two thirds of that reading.
COMPRESSION = {
    "root": Compression("zstd", 256),
    "drivers": Compression("xz", 256),
    "payload": Compression("zstd", 256),
    "containers": Compression("zstd", 1024),
    "overlay": Compression("zstd", 128),
}
OF_THE_PROVIDER = ("payload", "containers")
DRIVERS = "usr/lib/modules/*/kernel/drivers/*"


def image(layer: str, provider: str) -> Path:
    """The squashfs image of a layer; some differ with the payload's provider."""
    return BUILD / (f"{layer}-{provider}.squashfs" if layer in OF_THE_PROVIDER else f"{layer}.squashfs")


def layers(provider: str) -> dict[str, Path]:
    """The images by their names on the media, lowest layer first."""
    return {f"{layer}.squashfs": image(layer, provider) for layer in COMPRESSION}


def preloaded(provider: str) -> list[Path]:
    """The OCI archives that every node has; the stub runs no containers."""
    return [] if provider == "stub" else [addons.COREDNS, addons.PAUSE]


def write_layer(layer: str, content: Tree, b: Build) -> None:
    """Write one layer, packed as its name asks."""
    tree = skeleton()
    tree.add_tree(content)
    squashfs.write(finish(tree), b.out, load_config().os.epoch, COMPRESSION[layer], b.scratch)


def is_driver(path: str) -> bool:
    """Whether a path of the module tree goes into the layer of the drivers."""
    return fnmatch.fnmatchcase(path, DRIVERS)


def build_root(b: Build) -> None:
    """Programs, and the kernel modules that are no drivers of hardware."""
    content, everything = skeleton(), modules()
    content.add_tar(userland.USERLAND)
    content.add_tree(everything.only(lambda path: not is_driver(path)))
    write_layer("root", content, b)


def build_drivers(b: Build) -> None:
    """Drivers of hardware."""
    write_layer("drivers", modules().only(is_driver), b)


def modules() -> Tree:
    """The curated modules of the configured kernel."""
    tree = Tree()
    tree.add_tar(Files(load_config().kernel.flavour).modules)
    return tree


def build_payload(provider: str, b: Build) -> None:
    """Kubernetes itself."""
    write_layer("payload", programs(payload.archive(provider)), b)


def build_containers(provider: str, b: Build) -> None:
    """What containers need: the payload's helpers, and the preloaded images."""
    content = programs(payload.helpers(provider))
    for archive in preloaded(provider):
        content.add_file(f"{IMAGES_FOLDER}/{archive.name}", archive)
    write_layer("containers", content, b)


def programs(archive: Path) -> Tree:
    """What the payload's provider made."""
    tree = Tree()
    tree.add_tar(archive)
    return tree


def build_overlay(b: Build) -> None:
    """The files of overlay/, and the system's name and version."""
    config = load_config()
    content = skeleton()
    content.add_folder(OVERLAY_SOURCE)
    content.add_file("usr/lib/os-release", os_release(config.os.version, config.os.epoch))
    content.chmod("etc/shadow", 0o640)
    write_layer("overlay", content, b)


def task_rootfs() -> Iterator[dict[str, object]]:
    """All layers of the product's root."""
    config = load_config()
    flavour = Files(config.kernel.flavour)
    values = {"epoch": config.os.epoch, "flavour": config.kernel.flavour}
    yield artifact(
        "rootfs",
        doc="root layer: programs and kernel modules",
        build=build_root,
        targets=[image("root", "")],
        files=[userland.USERLAND, flavour.modules],
        values=values,
        tools=["tools"],
    )
    yield artifact(
        "rootfs-drivers",
        doc="drivers layer: kernel modules for hardware",
        build=build_drivers,
        targets=[image("drivers", "")],
        files=[flavour.modules],
        values=values,
        tools=["tools"],
    )
    yield from payload_tasks(config.payload.provider, "parts")
    yield artifact(
        "rootfs-overlay",
        doc="overlay layer: overlay/ and os-release",
        build=build_overlay,
        targets=[image("overlay", "")],
        trees=[OVERLAY_SOURCE],
        values={"epoch": config.os.epoch, "version": config.os.version},
        tools=["tools"],
    )


def payload_tasks(provider: str, group: str) -> Iterator[dict[str, object]]:
    """The layers of one payload provider."""
    yield artifact(
        f"rootfs-payload-{provider}",
        doc=f"payload layer, provider {provider}",
        build=partial(build_payload, provider),
        targets=[image("payload", provider)],
        files=[payload.archive(provider)],
        values={"epoch": load_config().os.epoch},
        tools=["tools"],
        group=group,
    )
    yield artifact(
        f"rootfs-containers-{provider}",
        doc=f"containers layer: shim, CNI plugins, preloaded images, provider {provider}",
        build=partial(build_containers, provider),
        targets=[image("containers", provider)],
        files=[payload.helpers(provider), *preloaded(provider)],
        values={"epoch": load_config().os.epoch},
        tools=["tools"],
        group=group,
    )
