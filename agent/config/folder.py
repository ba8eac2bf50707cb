"""A folder of files that is replaced as a whole."""

from __future__ import annotations

import os
from collections.abc import Mapping

from agent import durable
from agent.config.render import FILES, PROBLEMS, REPORT, File, mode_of

NEW = ".new"
OLD = ".old"


def write(folder: str, files: Mapping[str, File]) -> None:
    """Make the folder hold these files and nothing else; raises OSError.

    Everything is on the disk before the folder gets its name. Where there is one already, it is renamed away
    first; a cut between the two renames leaves it under that name, and `recover` brings it back.
    """
    recover(folder)
    if holds(folder, files):
        return
    new, old = folder + NEW, folder + OLD
    remove(new)
    os.makedirs(os.path.dirname(folder) or ".", exist_ok=True)
    os.mkdir(new)
    os.chmod(new, 0o755)
    for name, (data, mode) in files.items():
        durable.write_file(os.path.join(new, name), data, mode)
    durable.flush(new)
    if os.path.isdir(folder):
        os.rename(folder, old)
    os.rename(new, folder)
    durable.flush(os.path.dirname(folder) or ".")
    remove(old)


def recover(folder: str) -> None:
    """Bring back the folder that an interrupted `write` has renamed away."""
    if os.path.isdir(folder + OLD):
        if os.path.isdir(folder):
            remove(folder + OLD)
        else:
            os.rename(folder + OLD, folder)


def holds(folder: str, files: Mapping[str, File]) -> bool:
    """Whether the folder has exactly these files."""
    try:
        if sorted(os.listdir(folder)) != sorted(files):
            return False
        return all(
            (read_file(path := os.path.join(folder, name)), os.stat(path).st_mode & 0o777) == (data, mode)
            for name, (data, mode) in files.items()
        )
    except OSError:
        return False


def read_kept(folder: str) -> dict[str, File]:
    """The files of sections in a folder that was written before; empty when there is none."""
    recover(folder)
    found: dict[str, File] = {}
    try:
        names = os.listdir(folder)
    except OSError:
        return {}
    for name in sorted(names):
        if name in FILES and name not in (PROBLEMS, REPORT):
            try:
                found[name] = (read_file(os.path.join(folder, name)), mode_of(name))
            except OSError:
                continue
    return found


def read_file(path: str) -> bytes:
    """The bytes of a file."""
    with open(path, "rb") as stream:
        return stream.read()


def remove(folder: str) -> None:
    """Remove a folder of files, if it is there."""
    if os.path.isdir(folder):
        for name in os.listdir(folder):
            os.unlink(os.path.join(folder, name))
        os.rmdir(folder)
