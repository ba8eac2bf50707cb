"""The node's read-only root: a stack of squashfs images, each packed for how it is read.

What is read when a node starts is packed with zstd, which is read seven times faster than xz; drivers, of
which each machine reads a few, with xz, which is an eighth smaller. An edit repacks one layer.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from agent.update.keys import TEST_KEY
from tasks import addons, kernel, payload, python, userland
from tasks.lib.engine import Build, artifact
from tasks.lib.formats import squashfs
from tasks.lib.formats.squashfs import Compression
from tasks.lib.formats.tree import Tree
from tasks.lib.formats.unpackedimage import unpacked
from tasks.lib.paths import TOP
from tasks.lib.release.manifest import os_release
from tasks.lib.target import Target
from tasks.skeleton import finish, skeleton

OVERLAY_SOURCE = TOP / "overlay"
KEYS_FOLDER = "usr/lib/kubesolo-os/update-keys"
# Says that an image is for tests alone.
TEST_MARK = "usr/lib/kubesolo-os/test-image"
IMAGES_FOLDER = "usr/lib/kubesolo-os/images"
# Programs and the modules of every node; drivers of hardware; Python; Kubernetes; what containers need;
# overlay/ and agent/.
# Where memory is short, a page that is needed again costs its whole block: 256 KiB cost 6 % more space than
# 1 MiB and save two thirds of that reading. And the kernel keeps five blocks for each image that is mounted.
COMPRESSION = {
    "root": Compression("zstd", 256),
    "drivers": Compression("xz", 256),
    "python": Compression("zstd", 256),
    "payload": Compression("zstd", 256),
    # Packed seldom.
    "containers": Compression("zstd", 256, level=22),
    "overlay": Compression("zstd", 128),
}
DRIVERS = "usr/lib/modules/*/kernel/drivers/*"


def image(layer: str, target: Target) -> Path:
    """The squashfs image of a layer."""
    folders = {
        "root": target.system_folder,
        "drivers": target.kernel_folder,
        "python": target.base_folder,
        "payload": target.payload_folder,
        "containers": target.payload_folder,
        "overlay": target.edition_folder,
    }
    return folders[layer] / f"{layer}.squashfs"


def layers(target: Target) -> dict[str, Path]:
    """The images by their names on the media, lowest layer first."""
    return {f"{layer}.squashfs": image(layer, target) for layer in COMPRESSION}


def write_layer(layer: str, content: Tree, bcj: str, b: Build, first: Sequence[str] = ()) -> None:
    """Write one layer, packed as its name asks.

    bcj: xz' filter for the node's programs. first: paths of files that are read together, and lie so.
    """
    tree = skeleton()
    tree.add_tree(content)
    packing = replace(COMPRESSION[layer], filter=bcj)
    squashfs.write(finish(tree), b.out, b.epoch, packing, b.scratch, first=first)


def is_driver(path: str) -> bool:
    """Whether a path of the module tree goes into the layer of the drivers."""
    return fnmatch.fnmatchcase(path, DRIVERS)


def root_content(userland: Path, modules: Path) -> Tree:
    """Programs, and the kernel modules that are no drivers of hardware."""
    content = skeleton()
    content.add_tar(userland)
    content.add_tree(of_tar(modules).only(lambda path: not is_driver(path)))
    return content


def build_root(userland: Path, modules: Path, bcj: str, b: Build) -> None:
    """The root layer."""
    write_layer("root", root_content(userland, modules), bcj, b)


def build_drivers(modules: Path, bcj: str, b: Build) -> None:
    """Drivers of hardware."""
    write_layer("drivers", of_tar(modules).only(is_driver), bcj, b)


def of_tar(archive: Path) -> Tree:
    """What a task before made."""
    tree = Tree()
    tree.add_tar(archive)
    return tree


def build_archive(layer: str, archive: Path, bcj: str, b: Build) -> None:
    """A layer that is one tar: Kubernetes itself."""
    write_layer(layer, of_tar(archive), bcj, b)


def build_python(archive: Path, bcj: str, triplet: str, b: Build) -> None:
    """Python's layer."""
    write_layer("python", of_tar(archive), bcj, b, python.load_selection().read_first(triplet))


def build_containers(helpers: Path, images: tuple[Path, ...], bcj: str, b: Build) -> None:
    """What containers need: the payload's helpers, and the files of the preloaded images."""
    content = of_tar(helpers)
    for archive in images:
        content.add_tree(unpacked(archive, b.scratch), IMAGES_FOLDER)
    write_layer("containers", content, bcj, b)


def add_update_keys(content: Tree, keys: Sequence[str], *, for_tests: bool) -> None:
    """The public keys that updates must be signed with; the tests' own one counts only beside the mark."""
    content.add_dir(KEYS_FOLDER)
    if keys:
        content.add_file(f"{KEYS_FOLDER}/release.pub", "".join(f"{key}\n" for key in keys))
    if for_tests:
        content.add_file(TEST_MARK, "")
        content.add_file(f"{KEYS_FOLDER}/test.pub", f"{TEST_KEY}\n")


def build_overlay(agent: Path, architecture: str, bcj: str, b: Build) -> None:
    """The files of overlay/, the node's own Python modules, name and version, and update keys."""
    content = skeleton()
    content.add_tar(agent)
    content.add_folder(OVERLAY_SOURCE)
    content.add_file("usr/lib/os-release", os_release(b.values["version"], b.epoch, architecture))
    add_update_keys(content, b.values["keys"], for_tests=b.values["for_tests"])
    content.chmod("etc/shadow", 0o640)
    write_layer("overlay", content, bcj, b)


def tasks(target: Target) -> Iterator[dict[str, object]]:
    """All layers of a root."""
    modules, bcj, epoch = kernel.modules(target), target.arch.bcj, {"epoch": target.epoch}
    yield artifact(
        target.task("rootfs"),
        doc="root layer: programs and kernel modules",
        build=partial(build_root, userland.archive(target), modules, bcj),
        targets=[image("root", target)],
        files=[userland.archive(target), modules],
        values=epoch,
        tools=["tools"],
        group=target.group,
    )
    yield artifact(
        target.task("rootfs-drivers"),
        doc="drivers layer: kernel modules for hardware",
        build=partial(build_drivers, modules, bcj),
        targets=[image("drivers", target)],
        files=[modules],
        values=epoch,
        tools=["tools"],
        group=target.group,
    )
    yield artifact(
        target.task("rootfs-python"),
        doc="Python layer: interpreter, modules, libraries",
        build=partial(build_python, python.archive(target), bcj, target.arch.triplet),
        targets=[image("python", target)],
        files=[python.archive(target), python.SELECTION],
        values=epoch,
        tools=["tools"],
        group=target.group,
    )
    yield artifact(
        target.task("rootfs-payload"),
        doc=f"payload layer, provider {target.payload}",
        build=partial(build_archive, "payload", payload.archive(target), bcj),
        targets=[image("payload", target)],
        files=[payload.archive(target)],
        values=epoch,
        tools=["tools"],
        group=target.group,
    )
    images = tuple(addons.preloaded(target))
    yield artifact(
        target.task("rootfs-containers"),
        doc=f"containers layer: shim, CNI plugins, preloaded images, provider {target.payload}",
        build=partial(build_containers, payload.helpers(target), images, bcj),
        targets=[image("containers", target)],
        files=[payload.helpers(target), *images],
        values=epoch,
        tools=["tools"],
        group=target.group,
    )
    yield artifact(
        target.task("rootfs-overlay"),
        doc="overlay layer: overlay/, agent/, os-release and update keys",
        build=partial(build_overlay, python.agent(target), target.arch.name, bcj),
        targets=[image("overlay", target)],
        files=[python.agent(target)],
        trees=[OVERLAY_SOURCE],
        values={
            **epoch,
            "version": target.version,
            "keys": target.update.keys,
            "for_tests": target.for_tests,
        },
        tools=["tools"],
        group=target.group,
    )
