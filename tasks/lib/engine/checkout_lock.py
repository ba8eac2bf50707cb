"""One run at a time in a checkout: the others wait, and say for whom."""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tasks.lib.engine.execution import explained
from tasks.lib.errors import BuildError


@contextmanager
def _opened(path: Path, folder: Path, flags: int) -> Iterator[int]:
    """A descriptor of what is at the path; the folder is made. Raises BuildError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, flags | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise explained(error) from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def checkout_lock(path: Path) -> Iterator[int]:
    """Hold the lock file `path`; yields its descriptor.

    A worker or watcher that has inherited the descriptor keeps the lock after its parent was killed.
    Raises BuildError when the file can not be made.
    """
    with _opened(path, path.parent, os.O_RDWR | os.O_CREAT) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.stderr.write(f"doit: waiting for {_holder(lock)}, which is at work in this checkout\n")
            sys.stderr.flush()
            fcntl.flock(lock, fcntl.LOCK_EX)
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        yield lock


@contextmanager
def cache_lock(folder: Path, *, alone: bool) -> Iterator[None]:
    """Hold the cache that checkouts share: builds together, whoever empties it alone.

    Raises BuildError when a build is at work somewhere, as its tools must not go.
    """
    with _opened(folder, folder, os.O_RDONLY | os.O_DIRECTORY) as lock:
        try:
            fcntl.flock(lock, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
        except BlockingIOError as error:
            what = "another checkout builds with it" if alone else "it is being emptied"
            raise BuildError(f"{folder} is in use: {what}", "try again later") from error
        yield


def _holder(lock: int) -> str:
    """Who holds the lock, for people."""
    pid = os.pread(lock, 32, 0).decode(errors="replace").strip()
    if pid and not Path(f"/proc/{pid}").exists():
        return f"the children of process {pid}, which was killed"
    return f"process {pid}" if pid else "another run"
