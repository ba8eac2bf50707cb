"""kubesolo-os.gz: what the kernel starts from. Two compressed cpio segments, one of which rarely changes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from tasks import kernel, rootfs, sources, ssh
from tasks.lib.debian import fetch, tools
from tasks.lib.debian.lockfile import keyed
from tasks.lib.engine import Build, artifact
from tasks.lib.formats import cpio
from tasks.lib.formats.packages import add_deb
from tasks.lib.formats.tree import Tree
from tasks.lib.paths import TOP
from tasks.lib.process import run
from tasks.lib.release.manifest import digest
from tasks.lib.target import Target
from tasks.userland import SET

INIT = TOP / "init"
IMAGE_LIST = "etc/kubesolo-os/root.images"
SCRIPTS = "lib/kubesolo-init"
# Links besides BusyBox itself: the kernel starts /sbin/modprobe, scripts start /bin/sh.
LINKS = {"bin/sh": "busybox", "sbin/modprobe": "../bin/busybox"}
# The whole driver segment takes a second at this level, and is unpacked as quickly as at any other.
LEVEL = 19


def drivers(target: Target) -> Path:
    """The segment that follows the kernel."""
    return target.system_folder / "initramfs-drivers.cpio.zst"


def initramfs(target: Target) -> Path:
    """The initramfs of a target; it knows the digests of the images it will mount."""
    return target.product_folder / "kubesolo-os.gz"


def write_segment(tree: Tree, out: Path, epoch: int, scratch: Path) -> None:
    """Write a tree as a compressed cpio segment."""
    plain = scratch / f"{out.name}.cpio"
    with plain.open("wb") as stream:
        cpio.write(tree, stream, epoch)
    run([*tools.command("zstd"), "-q", "-f", f"-{LEVEL}", "--single-thread", "--no-check", plain, "-o", out])


def build_drivers(modules: Path, arch: str, b: Build) -> None:
    """BusyBox, the first device nodes, and the modules that are needed to find and mount the root."""
    packages = Tree()
    for package, deb in fetch.fetch_set(keyed(SET, arch), b.progress, b.note):
        if package.name == "busybox-static":
            add_deb(packages, deb)
    tree = Tree()
    tree.add_file("bin/busybox", packages["usr/bin/busybox"].read(), 0o755)
    for path, target in LINKS.items():
        tree.add_symlink(path, target)
    tree.add_device("dev/console", "char", 5, 1, 0o600)
    tree.add_device("dev/null", "char", 1, 3, 0o666)
    tree.add_tar(modules)
    write_segment(tree, b.out, b.epoch, b.scratch)


def images(target: Target) -> dict[str, Path]:
    """What it knows by their names on the media: the root's layers, lowest first, then others."""
    return {**rootfs.layers(target), ssh.image(target).name: ssh.image(target)}


def init_tree(images: Mapping[str, Path]) -> Tree:
    """/init, the boot stages, and the list of images: digest, size in bytes, name; lowest layer first."""
    tree = Tree()
    tree.add_folder(INIT / "lib", f"{SCRIPTS}/lib")
    tree.add_folder(INIT / "stages", f"{SCRIPTS}/stages")
    tree.add_file("init", INIT / "init", 0o755)
    rows = [f"{digest(path)} {path.stat().st_size} {name}\n" for name, path in images.items()]
    tree.add_file(IMAGE_LIST, "".join(rows))
    return tree


def build_initramfs(drivers: Path, layers: tuple[tuple[str, Path], ...], b: Build) -> None:
    """Join the drivers with the part that is edited often."""
    segment = b.scratch / "init.zst"
    write_segment(init_tree(dict(layers)), segment, b.epoch, b.scratch)
    cpio.concatenate([drivers, segment], b.out)


def write_all_in_one(segment: Path, images: Mapping[str, Path], out: Path, epoch: int) -> None:
    """An initramfs that holds the root's images too, for booting over the network."""
    tree = Tree()
    for name, path in images.items():
        tree.add_file(f"boot/{name}", path)
    second = out.with_name(f"{out.name}.images")
    try:
        with second.open("wb") as stream:
            cpio.write(tree, stream, epoch)
        cpio.concatenate([segment, second], out)
    finally:
        second.unlink(missing_ok=True)


def tasks(target: Target) -> Iterator[dict[str, object]]:
    """The part of the initramfs that follows the kernel, and all of it."""
    modules = kernel.initramfs_modules(target)
    yield artifact(
        target.task("initramfs-drivers"),
        doc="initramfs: BusyBox and storage modules",
        build=partial(build_drivers, modules, target.arch.name),
        targets=[drivers(target)],
        files=[modules, sources.listing(SET, target.arch)],
        values={"epoch": target.epoch},
        tools=["tools"],
        group=target.group,
    )
    known = images(target)
    yield artifact(
        target.task("initramfs"),
        doc=f"kubesolo-os.gz: init, stages, digests of the root images ({target.payload})",
        build=partial(build_initramfs, drivers(target), tuple(known.items())),
        targets=[initramfs(target)],
        files=[drivers(target), *known.values()],
        trees=[INIT],
        values={"epoch": target.epoch},
        tools=["tools"],
        group=target.group,
    )
