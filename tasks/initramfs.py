"""kubesolo-os.gz: what the kernel starts from. Two compressed cpio segments, one of which rarely changes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from tasks import rootfs, sources
from tasks.kernel import Files
from tasks.lib.config import load_config
from tasks.lib.debian import fetch, tools
from tasks.lib.engine import Build, artifact
from tasks.lib.formats import cpio
from tasks.lib.formats.packages import add_deb
from tasks.lib.formats.tree import Tree
from tasks.lib.paths import BUILD, TOP
from tasks.lib.process import run
from tasks.lib.release.manifest import digest
from tasks.userland import SET

INIT = TOP / "init"
DRIVERS = BUILD / "initramfs-drivers.cpio.zst"
IMAGE_LIST = "etc/kubesolo-os/root.images"
SCRIPTS = "lib/kubesolo-init"
# Links besides BusyBox itself: the kernel starts /sbin/modprobe, scripts start /bin/sh.
LINKS = {"bin/sh": "busybox", "sbin/modprobe": "../bin/busybox"}
# The whole driver segment takes a second at this level, and is unpacked as quickly as at any other.
LEVEL = 19


def initramfs(provider: str) -> Path:
    """The initramfs of a product with this payload; it knows the digests of the images it will mount."""
    return BUILD / ("kubesolo-os.gz" if provider != "stub" else "kubesolo-os-stub.gz")


def write_segment(tree: Tree, out: Path, scratch: Path) -> None:
    """Write a tree as a compressed cpio segment."""
    plain = scratch / f"{out.name}.cpio"
    with plain.open("wb") as stream:
        cpio.write(tree, stream, load_config().os.epoch)
    run([*tools.command("zstd"), "-q", "-f", f"-{LEVEL}", "--single-thread", "--no-check", plain, "-o", out])


def build_drivers(b: Build) -> None:
    """BusyBox, the first device nodes, and the modules that are needed to find and mount the root."""
    packages = Tree()
    for package, deb in fetch.fetch_set(SET, b.progress, b.note):
        if package.name == "busybox-static":
            add_deb(packages, deb)
    tree = Tree()
    tree.add_file("bin/busybox", packages["usr/bin/busybox"].read(), 0o755)
    for path, target in LINKS.items():
        tree.add_symlink(path, target)
    tree.add_device("dev/console", "char", 5, 1, 0o600)
    tree.add_device("dev/null", "char", 1, 3, 0o666)
    tree.add_tar(Files(load_config().kernel.flavour).initramfs_modules)
    write_segment(tree, b.out, b.scratch)


def init_tree(images: Mapping[str, Path]) -> Tree:
    """/init, the boot stages, and the list of images: digest, size in bytes, name; lowest layer first."""
    tree = Tree()
    tree.add_folder(INIT / "lib", f"{SCRIPTS}/lib")
    tree.add_folder(INIT / "stages", f"{SCRIPTS}/stages")
    tree.add_file("init", INIT / "init", 0o755)
    rows = [f"{digest(path)} {path.stat().st_size} {name}\n" for name, path in images.items()]
    tree.add_file(IMAGE_LIST, "".join(rows))
    return tree


def build_initramfs(provider: str, b: Build) -> None:
    """Join the drivers with the part that is edited often."""
    segment = b.scratch / "init.zst"
    write_segment(init_tree(rootfs.layers(provider)), segment, b.scratch)
    cpio.concatenate([DRIVERS, segment], b.out)


def write_all_in_one(segment: Path, images: Mapping[str, Path], out: Path) -> None:
    """An initramfs that holds the root's images too, for booting over the network."""
    tree = Tree()
    for name, path in images.items():
        tree.add_file(f"boot/{name}", path)
    second = out.with_name(f"{out.name}.images")
    try:
        with second.open("wb") as stream:
            cpio.write(tree, stream, load_config().os.epoch)
        cpio.concatenate([segment, second], out)
    finally:
        second.unlink(missing_ok=True)


def task_initramfs_drivers() -> dict[str, object]:
    """The part of the initramfs that follows the kernel."""
    config = load_config()
    return artifact(
        "initramfs-drivers",
        doc="initramfs: BusyBox and storage modules",
        build=build_drivers,
        targets=[DRIVERS],
        files=[Files(config.kernel.flavour).initramfs_modules, sources.listing(SET)],
        values={"epoch": config.os.epoch, "flavour": config.kernel.flavour},
        tools=["tools"],
    )


def task_initramfs() -> dict[str, object]:
    """What the kernel starts from."""
    return initramfs_task("initramfs", load_config().payload.provider, "parts")


def initramfs_task(name: str, provider: str, group: str) -> dict[str, object]:
    """The initramfs for one payload provider."""
    return artifact(
        name,
        doc=f"kubesolo-os.gz: init, stages, digests of the root images ({provider})",
        build=partial(build_initramfs, provider),
        targets=[initramfs(provider)],
        files=[DRIVERS, *rootfs.layers(provider).values()],
        trees=[INIT],
        values={"epoch": load_config().os.epoch},
        tools=["tools"],
        group=group,
    )
