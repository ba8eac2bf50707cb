"""The node's programs: a few of a distribution's packages, with just the libraries that they need."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from tasks import downloads, sources, tinycore
from tasks.lib.debian.lockfile import keyed
from tasks.lib.engine import Build, artifact
from tasks.lib.errors import BuildError
from tasks.lib.formats.elf import closure
from tasks.lib.formats.packages import unpack
from tasks.lib.formats.tree import Tree
from tasks.lib.paths import TOP
from tasks.lib.provider import Inputs, Provider, choose, parts_text, pinned_part, read_parts
from tasks.lib.target import Pinned, Target
from tasks.skeleton import merged, skeleton

SELECTION = TOP / "tasks" / "userland.toml"
SET = "userland"
# Besides the folder of the architecture.
LIBRARY_FOLDERS = ("usr/lib", "usr/lib64")
BUSYBOX = "usr/bin/busybox"
OTHER_BUSYBOX = "usr/bin/busybox.static"
# Its certificates are in the bundle.
AUTHORITIES = "ca-certificates"
CERTIFICATES = "usr/share/ca-certificates/mozilla"
BUNDLE = "etc/ssl/certs/ca-certificates.crt"


@dataclass(frozen=True)
class Selection:
    """tasks/userland.toml: what is taken from the packages, as absolute paths; applets by name."""

    programs: tuple[str, ...]
    libraries: tuple[str, ...]
    files: tuple[str, ...]
    applets: tuple[str, ...]


def load_selection(path: Path = SELECTION) -> Selection:
    """Read the selection; raises BuildError naming the file and what is wrong with it."""
    try:
        found = tomllib.loads(path.read_text())
        return Selection(**{key: tuple(value) for key, value in found.items()})
    except (OSError, tomllib.TOMLDecodeError, TypeError) as error:
        raise BuildError(f"{path}: {error}") from error


def build_debian(arch: str, libraries: str, b: Build) -> None:
    """The userland of provider debian, from locked packages, and the list of those it has files of."""
    packages = unpack(keyed(SET, arch), skeleton(), b)
    tree = select(packages.tree, load_selection(), libraries)
    tree.write_tar(b.outs[0], b.epoch)
    b.outs[1].write_text(packages.parts(set(tree), AUTHORITIES))


def build_tinycore(iso: Pinned, arch: str, libraries: str, b: Build) -> None:
    """The userland of provider tinycore: CorePure64 has a BusyBox, but no programs that run Kubernetes.

    Applets that this BusyBox was built without are those of Debian's, which lies beside it.
    """
    packages = unpack(keyed(SET, arch), skeleton(), b)
    everything, selection = packages.tree, load_selection()
    own = everything[BUSYBOX].read()
    tinycore.put_busybox(everything, tinycore.root(downloads.path(iso, b)), libraries)
    absent = tuple(name for name in selection.applets if not has_applet(everything[BUSYBOX].read(), name))
    present = tuple(name for name in selection.applets if name not in absent)
    tree = select(everything, replace(selection, applets=present), libraries)
    if absent:
        b.note(f"userland: tinycore's BusyBox has no {', '.join(absent)}: they are Debian's")
        tree.add_file(OTHER_BUSYBOX, own, 0o755)
        add_applets(tree, absent, OTHER_BUSYBOX)
    tree.write_tar(b.outs[0], b.epoch)
    b.outs[1].write_text(packages.parts(set(tree), AUTHORITIES))
    b.outs[1].write_text(parts_text([*read_parts(b.outs[1]), pinned_part(iso)]))


def missing_libraries(everything: Tree, programs: Iterable[str], libraries: str, userland: Path) -> list[str]:
    """The programs and what they are linked with, as far as the userland (a tar) does not have it."""
    present = Tree()
    present.add_tar(userland)
    needed = closure(everything, programs, (libraries, *LIBRARY_FOLDERS))
    return [path for path in needed if path not in present]


def select(everything: Tree, selection: Selection, libraries: str) -> Tree:
    """The chosen programs with their libraries, applet links and the certificate bundle."""
    wanted = [*selection.programs, *selection.libraries]
    tree = merged()
    chosen = {
        *closure(everything, wanted, (libraries, *LIBRARY_FOLDERS)),
        *map(everything.resolve, selection.files),
    }
    tree.add_tree(everything.only(chosen.__contains__))
    add_applets(tree, selection.applets)
    tree.add_file(BUNDLE, certificate_bundle(everything))
    return tree


def add_applets(tree: Tree, applets: Iterable[str], busybox: str = BUSYBOX) -> None:
    """Link applets to BusyBox, except where a program has the name; BuildError when it has no such applet."""
    binary = tree[busybox].read()
    for name in applets:
        if not has_applet(binary, name):
            raise BuildError(f"{SELECTION}: busybox has no applet {name}")
        if f"usr/bin/{name}" not in tree:
            tree.add_symlink(f"usr/bin/{name}", Path(busybox).name)


def has_applet(binary: bytes, name: str) -> bool:
    """Whether the name is among the texts of a BusyBox."""
    return b"\0" + name.encode() + b"\0" in binary


def certificate_bundle(everything: Tree) -> bytes:
    """All certificate authorities in one PEM file, as update-ca-certificates would make it."""
    found = [entry.read() for path, entry in everything.items() if path.startswith(f"{CERTIFICATES}/")]
    if not found:
        raise BuildError(f"no certificates below {CERTIFICATES} in the package set {SET}")
    return b"".join(pem.rstrip(b"\n") + b"\n" for pem in found)


def archive(target: Target) -> Path:
    """The tar of the programs, laid out as on the node."""
    return target.base_folder / "userland.tar"


def parts(target: Target) -> Path:
    """The list of the packages that they come from."""
    return target.base_folder / "parts.json"


# Who can provide the userland.
PROVIDERS = {
    "debian": Provider(
        "locked Debian packages",
        lambda target: partial(build_debian, target.arch.name, target.arch.libraries),
        lambda target: Inputs((SELECTION, sources.listing(SET, target.arch))),
    ),
    "tinycore": Provider(
        "Tiny Core Linux' BusyBox; what else a node needs from locked Debian packages",
        lambda target: partial(
            build_tinycore, target.pinned(tinycore.NAME), target.arch.name, target.arch.libraries
        ),
        lambda target: Inputs(
            (SELECTION, sources.listing(SET, target.arch)), downloads=(target.pinned(tinycore.NAME),)
        ),
    ),
}


def tasks(target: Target) -> Iterator[dict[str, object]]:
    """The node's programs and libraries."""
    provider = choose("userland", target.base, PROVIDERS)
    inputs = provider.inputs(target)
    yield artifact(
        target.task("userland"),
        doc="the node's programs and libraries",
        build=provider.recipe(target),
        targets=[archive(target), parts(target)],
        files=[*inputs.files, *map(downloads.record, inputs.downloads)],
        trees=inputs.trees,
        tools=inputs.tools,
        values={"epoch": target.epoch},
        group=target.group,
    )
