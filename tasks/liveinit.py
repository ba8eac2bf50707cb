"""The Live CD's initramfs: drivers of its kernel, BusyBox, and an /init that mounts medium and disk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from tasks import initramfs, kernel, live, sources
from tasks.initramfs import write_segment
from tasks.lib.engine import Build, artifact
from tasks.lib.formats import cpio
from tasks.lib.formats.tree import Tree
from tasks.lib.kernel.lists import read_list, select
from tasks.lib.kernel.modules import Kernel, close, index
from tasks.lib.kernel.strip import strip_modules
from tasks.lib.paths import TOP
from tasks.lib.release.manifest import digest
from tasks.lib.target import Target
from tasks.modules import LISTS, initramfs_tree, programs
from tasks.userland import SET

SOURCE = TOP / "live" / "init"
LIST = LISTS / "initramfs.modules"
FLAVOUR = "default"
PLACE = "lib/live-init"
# What it is made of besides drivers.
TREES = [initramfs.INIT / "lib", SOURCE]


def drivers(target: Target) -> Path:
    """The modules that are needed to find the medium and the disk, lib/modules/<release>/."""
    return live.folder(target) / "modules-initramfs.tar"


def segment(target: Target) -> Path:
    """The part of the initramfs that rarely changes."""
    return live.folder(target) / "initramfs-drivers.cpio.zst"


def disk_initramfs(target: Target) -> Path:
    """The initramfs of a disk that holds the whole root: without a list of images."""
    return live.folder(target) / "initramfs-disk.gz"


def build_drivers(
    everything: Path, conditions: tuple[str, str], triplet: str, lenient: bool, b: Build
) -> None:
    """Choose and index the modules of the initramfs, as for the nodes' initramfs."""
    source = Tree()
    source.add_tar(everything)
    offered, used = Kernel(source), programs(triplet)
    chosen = select(read_list(LIST, conditions), offered, b.note if lenient else None)
    selection = close(offered, [name for names in chosen.values() for name in names])
    files = strip_modules(selection.modules.values(), used.strip, b.scratch / "stripped")
    indexes = index(offered, selection, used.depmod, b.scratch / "root")
    initramfs_tree(offered, selection, indexes, files).write_tar(b.out, b.epoch)


def init_tree(images: Mapping[str, Path]) -> Tree:
    """/init with its libraries, and the list of the medium's images, lowest layer first."""
    tree = Tree()
    tree.add_folder(initramfs.INIT / "lib", f"{initramfs.SCRIPTS}/lib")
    tree.add_folder(SOURCE, PLACE)
    tree.remove(f"{PLACE}/init")
    tree.add_file("init", SOURCE / "init", 0o755)
    rows = [f"{digest(path)} {path.stat().st_size} {name}\n" for name, path in images.items()]
    tree.add_file(initramfs.IMAGE_LIST, "".join(rows))
    return tree


def build_initramfs(drivers: Path, images: tuple[tuple[str, Path], ...], b: Build) -> None:
    """Join the drivers with the part that is edited often."""
    second = b.scratch / "init.zst"
    write_segment(init_tree(dict(images)), second, b.epoch, b.scratch)
    cpio.concatenate([drivers, second], b.out)


def tasks(target: Target) -> Iterator[dict[str, object]]:
    """Drivers, their segment, and the initramfs for disks; the medium's own knows its images (liveiso)."""
    everything = live.modules(target)
    yield artifact(
        target.task("live-drivers"),
        doc="Live CD: kernel modules of the initramfs",
        build=partial(
            build_drivers,
            everything,
            (FLAVOUR, target.arch.name),
            target.arch.triplet,
            target.kernel in kernel.LENIENT,
        ),
        targets=[drivers(target)],
        files=[everything, LIST],
        values={"epoch": target.epoch},
        tools=["tools", "binutils"],
        group=target.group,
    )
    yield artifact(
        target.task("live-initramfs-drivers"),
        doc="Live CD: initramfs: BusyBox and storage modules",
        build=partial(initramfs.build_drivers, drivers(target), target.arch.name),
        targets=[segment(target)],
        files=[drivers(target), sources.listing(SET, target.arch)],
        values={"epoch": target.epoch},
        tools=["tools"],
        group=target.group,
    )
    yield artifact(
        target.task("live-initramfs-disk"),
        doc="Live CD: initramfs of its disk images",
        build=partial(build_initramfs, segment(target), ()),
        targets=[disk_initramfs(target)],
        files=[segment(target)],
        trees=TREES,
        values={"epoch": target.epoch},
        tools=["tools"],
        group=target.group,
    )
