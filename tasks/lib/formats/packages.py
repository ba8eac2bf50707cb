"""Debian packages as trees."""

from __future__ import annotations

import stat
from pathlib import Path

from tasks.lib.debian import debs
from tasks.lib.errors import BuildError
from tasks.lib.formats.tree import Content, Slice, Tree


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
