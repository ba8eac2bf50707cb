"""The Live CD's root without Kubernetes: Debian as mmdebstrap installs it, our files, kernel modules."""

from __future__ import annotations

import fnmatch
import gzip
import shutil
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from tasks import live, sources
from tasks.lib.arch import Arch
from tasks.lib.debian import bootstrap, fetch
from tasks.lib.debian.licences import package_parts
from tasks.lib.engine import Build, artifact
from tasks.lib.engine.spec import relative
from tasks.lib.formats.tree import Tree
from tasks.lib.paths import OUTPUT, TOP
from tasks.lib.provider import parts_text
from tasks.lib.target import Target

SET = "live"
FILES = TOP / "live" / "base"
# dpkg's options; they stay in the root, so that packages that are added later leave the same out.
WITHOUT = (
    "path-exclude=/usr/share/doc/*",
    "path-include=/usr/share/doc/*/copyright",
    "path-exclude=/usr/share/info/*",
    "path-exclude=/usr/share/locale/*",
    "path-include=/usr/share/locale/locale.alias",
    "path-exclude=/usr/share/man/*",
)
# Made while packages were installed, and of that installation alone: keys are made at first boot; where
# packages come from is for cloud-init to say.
LEFT_BEHIND = (
    "etc/ssh/ssh_host_*",
    "etc/apt/sources.list",
    "var/log/*",
    "var/cache/ldconfig/*",
    "var/lib/apt/lists/*",
)
# gzip.compress: from 6 on a tenth of the size takes three times as long.
GZIP_LEVEL = 6


def debian(target: Target) -> Path:
    """Debian alone, as an uncompressed tar with owners."""
    return live.folder(target) / "debian.tar"


def output(target: Target, suffix: str) -> Path:
    """What is handed out, such as k8s-livecd-0.1.0-amd64.rootfs.tar.gz."""
    return OUTPUT / f"{live.ID}-{target.version}-{target.arch.name}.{suffix}"


def build_debian(arch: Arch, b: Build) -> None:
    """Install the locked packages."""
    fetched = fetch.fetch_set(SET, b.progress, b.note)
    installed = b.scratch / "installed.tar"
    b.note("installing packages with mmdebstrap")
    bootstrap.install(fetched, fetch.current().suite, arch, WITHOUT, installed, b.epoch, b.scratch)
    tree = Tree()
    tree.add_tar(installed)
    cleaned(tree).write_tar(b.outs[0], b.epoch)
    b.outs[1].write_text(parts_text(package_parts(fetched, [package.name for package, _ in fetched])))


def cleaned(tree: Tree) -> Tree:
    """The tree without what belongs to one installation.

    Access control lists go, too: squashfs has none, and systemd-tmpfiles sets them at every start.
    """
    for path, entry in list(tree.items()):
        if entry.xattrs:
            kept = {name: value for name, value in entry.xattrs if not name.startswith("system.")}
            tree.own(path, *entry.owner, kept)
        if entry.kind != "dir" and any(fnmatch.fnmatch(path, pattern) for pattern in LEFT_BEHIND):
            tree.remove(path)
    tree.add_file("etc/machine-id", "", 0o444)
    return tree


def build_base(debian: Path, modules: Path, b: Build) -> None:
    """Join Debian and the kernel's modules: the layer that changes least."""
    tree = Tree()
    for path in (debian, modules):
        tree.add_tar(path)
    tree.write_tar(b.out, b.epoch)


def joined(layers: Sequence[Path], folders: Sequence[Path]) -> Tree:
    """Layers, and files as git has them, on top of each other."""
    tree = Tree()
    for path in layers:
        tree.add_tar(path)
    for folder in folders:
        tree.add_folder(folder)
    return tree


def pack(tar: Path, out: Path) -> None:
    """Compress a tar with gzip; same tar, same bytes."""
    with (
        tar.open("rb") as plain,
        out.open("wb") as stream,
        gzip.GzipFile("", "wb", GZIP_LEVEL, stream, mtime=0) as packed,
    ):
        shutil.copyfileobj(plain, packed, 1 << 20)


def build_rootfs(base: Path, b: Build) -> None:
    """The root that is handed out."""
    tar = b.scratch / "rootfs.tar"
    joined([base], [FILES]).write_tar(tar, b.epoch)
    pack(tar, b.out)


def tasks(target: Target) -> Iterator[dict[str, object]]:
    """The second layer."""
    base, made = live.layer(target, "base"), output(target, "rootfs.tar.gz")
    yield artifact(
        target.task("live-debian"),
        doc="Live CD: Debian, installed from locked packages",
        build=partial(build_debian, target.arch),
        targets=[debian(target), live.parts(target)[1]],
        files=[sources.listing(SET)],
        values={"epoch": target.epoch},
        tools=[bootstrap.SET],
        group=target.group,
    )
    yield artifact(
        target.task("live-base"),
        doc="Live CD: Debian with the kernel's modules",
        build=partial(build_base, debian(target), live.modules(target)),
        targets=[base],
        files=[debian(target), live.modules(target)],
        values={"epoch": target.epoch},
        group=target.group,
    )
    yield artifact(
        target.task("live-rootfs"),
        doc=f"{relative(made)}: Debian with systemd, SSH and cloud-init, without Kubernetes",
        build=partial(build_rootfs, base),
        targets=[made],
        files=[base],
        trees=[FILES],
        values={"epoch": target.epoch},
        group="products",
    )
