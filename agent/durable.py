"""Files and names that are on the disk when a function returns."""

from __future__ import annotations

import os


def write_file(path: str, data: bytes, mode: int) -> None:
    """A new file, on the disk when this returns."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with open(descriptor, "wb") as stream:
        os.fchmod(descriptor, mode)
        stream.write(data)
        stream.flush()
        os.fsync(descriptor)


def replace_file(path: str, data: bytes, mode: int) -> None:
    """This content in the place of whatever was there: old or new at every moment, on the disk afterwards."""
    beside = f"{path}.new"
    if os.path.lexists(beside):
        os.unlink(beside)
    write_file(beside, data, mode)
    os.rename(beside, path)
    flush(os.path.dirname(path) or ".")


def flush(folder: str) -> None:
    """Wait until the names in a folder are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
