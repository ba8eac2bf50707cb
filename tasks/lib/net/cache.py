"""The content-addressed cache that all checkouts share: objects/<first two digits>/<SHA-256>."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tasks.lib.errors import BuildError
from tasks.lib.paths import cache_dir

CHUNK = 1 << 20
POLL_SECONDS = 0.1
# Objects whose content this process has checked, by identity.
verified: set[tuple[str, int, int]] = set()


def object_path(sha256: str) -> Path:
    """Where the object with this content lies or would lie."""
    return cache_dir() / "objects" / sha256[:2] / sha256


def partial_path(sha256: str) -> Path:
    """Where a download of the object is gathered; what is there is resumed by the next attempt."""
    return cache_dir() / "partial" / sha256


def lookup(sha256: str, size: int | None) -> Path | None:
    """The object's path, or None when it is not there.

    A damaged one (by its size, where that is known, always; by its content once a process) counts as missing;
    fill() replaces it.
    """
    path = object_path(sha256)
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    identity = (sha256, status.st_ino, status.st_mtime_ns)
    if size is None or status.st_size == size:
        if identity in verified:
            return path
        if file_digest(path) == sha256:
            verified.add(identity)
            return path
    return None


def fill(
    sha256: str,
    size: int | None,
    download: Callable[[Path], None],
    note: Callable[[str], None],
    check: Callable[[], None] = lambda: None,
) -> Path:
    """The object's path; when it is missing, `download` writes and verifies it at the path it is given.

    Another process that downloads the same object is waited for: `note` is told so, and what `check` raises
    ends it.
    """
    with held(sha256, note, check):
        if found := lookup(sha256, size):
            return found
        partial, path = partial_path(sha256), object_path(sha256)
        try:
            partial.parent.mkdir(parents=True, exist_ok=True)
            path.parent.mkdir(parents=True, exist_ok=True)
            download(partial)
            partial.chmod(0o444)
            partial.replace(path)
        except OSError as error:
            if is_full(error):
                partial.unlink(missing_ok=True)
            raise BuildError(f"{partial}: can not be written: {error.strerror}", space_hint(error)) from error
        status = path.stat()
        verified.add((sha256, status.st_ino, status.st_mtime_ns))
        return path


def is_full(error: BaseException | None) -> bool:
    """Whether something failed because the disk is full."""
    return isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}


def discard_partials(digests: Iterable[str]) -> None:
    """Give up what was kept to be resumed; a full disk needs the room."""
    for sha256 in digests:
        with suppress(OSError):
            partial_path(sha256).unlink()


def space_hint(error: OSError) -> str:
    """What to do about a failed write in the cache."""
    if is_full(error):
        return f"make room on the disk of {cache_dir()}, or set XDG_CACHE_HOME to a folder on another disk"
    if error.errno in {errno.EMFILE, errno.ENFILE}:
        return "raise the limit of open files: ulimit -n 4096"
    return f"check the permissions of {cache_dir()}"


def file_digest(path: Path) -> str:
    """The SHA-256 of a file, hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def held(
    name: str,
    note: Callable[[str], None] = lambda text: None,
    check: Callable[[], None] = lambda: None,
) -> Iterator[None]:
    """Hold the cache's lock of this name, among processes and among threads.

    When it has to wait, `note` is told, and `check` is called now and then, to raise when waiting is to end.
    """
    path = cache_dir() / "locks" / name
    descriptor = acquire(path, note, check)
    try:
        yield
    finally:
        # Unlinked while it is still held: whoever waits on this file sees that and opens the new one.
        path.unlink(missing_ok=True)
        os.close(descriptor)


def acquire(path: Path, note: Callable[[str], None], check: Callable[[], None]) -> int:
    """An open descriptor that holds the lock file, which is at `path`."""
    waiting = False
    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise BuildError(f"{path}: can not be opened: {error.strerror}", space_hint(error)) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(descriptor).st_ino == path.stat().st_ino:
                return descriptor
        except (BlockingIOError, FileNotFoundError):
            if not waiting:
                waiting = True
                note(f"waiting for another process that has {path.name}")
        os.close(descriptor)
        check()
        time.sleep(POLL_SECONDS)
