"""The Live CD's kernel: that of a provider with all of its modules, indexed for modprobe."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tasks import kernel, live, payload
from tasks.lib.config import LiveKernel
from tasks.lib.debian import tools
from tasks.lib.engine import Build, artifact
from tasks.lib.formats.tree import Tree
from tasks.lib.kernel.modules import MODULES
from tasks.lib.process import run
from tasks.lib.provider import choose
from tasks.lib.target import Target


def live_target(target: Target, wanted: LiveKernel) -> Target:
    """What the Live CD is built for: the same machine, a kernel of its own, containers in any case.

    Raises BuildError when nobody provides that kernel; a stock one of another system has not the modules.
    """
    own = {name: provider for name, provider in kernel.PROVIDERS.items() if name not in kernel.STOCK}
    choose("live.kernel", wanted.provider, own)
    return target.variant(
        "", "parts", kernel=wanted.provider, flavour=wanted.flavour, payload=payload.WITH_CONTAINERS
    )


def release_of(tree: Tree) -> str:
    """The release whose modules a tree has."""
    return next(path.split("/")[3] for path in tree if path.count("/") >= 3)


def indexed(everything: Path, scratch: Path) -> Tree:
    """All modules with the files that depmod writes.

    scratch: a folder for them. Raises BuildError when depmod fails, as for a damaged module.
    """
    tree = Tree()
    tree.add_tar(everything)
    release = release_of(tree)
    root = scratch / "root"
    for path, entry in tree.items():
        place = root / path
        if entry.kind == "file":
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(entry.read())
    (root / "lib").symlink_to("usr/lib")
    run([*tools.command("depmod"), "-b", root, release])
    for index in sorted((root / MODULES / release).glob("modules.*")):
        tree.add_file(f"{MODULES}/{release}/{index.name}", index)
    return tree


def build(image: Path, everything: Path, listed: Path, b: Build) -> None:
    """Copy the kernel, index its modules, hand on the list of its parts."""
    vmlinuz, modules, parts = b.outs
    shutil.copyfile(image, vmlinuz)
    indexed(everything, b.scratch).write_tar(modules, b.epoch)
    shutil.copyfile(listed, parts)


def tasks(target: Target) -> Iterator[dict[str, object]]:
    """The first layer."""
    image, everything, listed = kernel.vmlinuz(target), kernel.everything(target), kernel.parts(target)
    yield artifact(
        target.task("live-kernel"),
        doc="Live CD: kernel with all of its modules",
        build=partial(build, image, everything, listed),
        targets=[live.vmlinuz(target), live.modules(target), live.parts(target)[0]],
        files=[image, everything, listed],
        values={"epoch": target.epoch},
        tools=["tools"],
        group=target.group,
    )
