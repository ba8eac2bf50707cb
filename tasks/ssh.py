"""The SSH server: an image of its own, which a node mounts when its configuration says so."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tasks import sources, userland
from tasks.lib.debian.lockfile import keyed
from tasks.lib.engine import Build, artifact
from tasks.lib.formats import squashfs
from tasks.lib.formats.packages import unpack
from tasks.lib.formats.squashfs import Compression
from tasks.lib.formats.tree import Tree
from tasks.lib.target import Target
from tasks.skeleton import merged

SET = "ssh"
# The first letters of the names of images that the initramfs checks and does not stack (init/lib/images.sh).
EXTRA = "extra-"
PROGRAMS = ("usr/sbin/dropbear", "usr/bin/dropbearkey")
PACKING = Compression("xz", 256)


def image(target: Target) -> Path:
    """The squashfs image: bin/ and lib/, whatever it is mounted on."""
    return target.base_folder / f"{EXTRA}ssh.squashfs"


def parts(target: Target) -> Path:
    """The list of the packages that its files come from."""
    return target.base_folder / "ssh.parts.json"


def build(programs: Path, arch: str, libraries: str, b: Build) -> None:
    """Server and key maker, with the libraries that the userland does not have; and the packages used."""
    packages, tree = unpack(keyed(SET, arch), merged(), b), Tree()
    taken = userland.missing_libraries(packages.tree, PROGRAMS, libraries, programs)
    for path in taken:
        folder = "lib" if ".so" in path else "bin"
        tree.add_tree(renamed(packages.tree, path, f"{folder}/{Path(path).name}"))
    squashfs.write(tree, b.outs[0], b.epoch, PACKING, b.scratch)
    b.outs[1].write_text(packages.parts(taken))


def renamed(tree: Tree, path: str, name: str) -> Tree:
    """One file or link of a tree, under another name; links lie beside what they lead to."""
    result, entry = Tree(), tree[path]
    if entry.kind == "symlink":
        result.add_symlink(name, Path(entry.target).name)
    else:
        result.add_file(name, entry.content, entry.mode)
    return result


def tasks(target: Target) -> Iterator[dict[str, object]]:
    """The image."""
    programs = userland.archive(target)
    yield artifact(
        target.task("ssh"),
        doc="the SSH server, in an image of its own",
        build=partial(build, programs, target.arch.name, target.arch.libraries),
        targets=[image(target), parts(target)],
        files=[programs, sources.listing(SET, target.arch)],
        values={"epoch": target.epoch},
        tools=["tools"],
        group=target.group,
    )
