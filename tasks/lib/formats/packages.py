"""Debian packages as trees."""

from __future__ import annotations

import stat
from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path

from tasks.lib.debian import debs, fetch
from tasks.lib.debian.licences import package_parts
from tasks.lib.debian.lockfile import Package
from tasks.lib.engine.build import Build
from tasks.lib.errors import BuildError
from tasks.lib.formats.entry import Content, Slice
from tasks.lib.formats.tree import Tree
from tasks.lib.provider import parts_text


@dataclass(frozen=True)
class Unpacked:
    """A set of packages as one tree; files: the paths that each has in it, without folders."""

    tree: Tree
    fetched: list[tuple[Package, Path]]
    files: dict[str, list[str]]

    def parts(self, taken: Container[str], *more: str) -> str:
        """The list of those that something taken comes from, and of those named besides, for the manifest."""
        used = {name for name, paths in self.files.items() if any(path in taken for path in paths)}
        return parts_text(package_parts(self.fetched, {*used, *more}))


def unpack(set_name: str, tree: Tree, b: Build) -> Unpacked:
    """Fetch a set of the lock and add all of it to a tree that has the merged folders already."""
    fetched = fetch.fetch_set(set_name, b.progress, b.note)
    return Unpacked(tree, fetched, {package.name: add_deb(tree, deb) for package, deb in fetched})


def add_deb(tree: Tree, deb: Path, spool: Path | None = None) -> list[str]:
    """Add a package's files, with their modes, to the tree.

    spool: a file that their bytes are appended to, for trees that are larger than memory; else they are held.
    Returns the paths, as they are in the tree, of all but folders. Raises BuildError when the package can not
    be read.
    """
    added = []
    for member in debs.entries(deb):
        if not member.path:
            continue
        mode = stat.S_IMODE(member.mode)
        if member.hardlink:
            tree.add_hardlink(member.path, member.link)
        elif stat.S_ISDIR(member.mode):
            tree.add_dir(member.path, mode)
        elif stat.S_ISLNK(member.mode):
            tree.add_symlink(member.path, member.link)
        elif stat.S_ISREG(member.mode):
            tree.add_file(member.path, kept(member, spool), mode)
        else:
            raise BuildError(f"{deb}: {member.path} is a device file")
        if not stat.S_ISDIR(member.mode):
            added.append(tree.locate(member.path))
    return added


def kept(member: debs.Member, spool: Path | None) -> Content:
    """The content of a member, in memory or in the spool."""
    if spool is None:
        return b"".join(member.content)
    with spool.open("ab") as stream:
        start = stream.tell()
        for block in member.content:
            stream.write(block)
        return Slice(spool, start, stream.tell() - start)
