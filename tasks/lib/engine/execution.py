"""One recipe, from empty temporary names to renamed targets; runs in a worker process."""

from __future__ import annotations

import errno
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tasks.lib.engine.build import Build, Message
from tasks.lib.engine.declared import only_declared
from tasks.lib.engine.digests import TICK_NS, Digests, fingerprint
from tasks.lib.engine.spec import Artifact
from tasks.lib.errors import BuildError
from tasks.lib.paths import BUILD, TOP

Outcome = dict[str, Any]
HINTS = {
    errno.ENOSPC: "free some space and run again",
    errno.EDQUOT: "the disk quota is used up",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.ENFILE: "the system has too many open files",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "who owns that file? was an earlier run made by another user?",
    errno.ENOMEM: "not enough memory",
}


def temporary(target: str) -> Path:
    """Where a target is written: a folder of its own; fixed, as one run at a time has the checkout's lock."""
    path = TOP / target
    return path.with_name(f".part-{path.name}") / path.name


def scratch_folder(name: str) -> Path:
    """The folder that a task may fill as it likes while it runs."""
    return BUILD / "scratch" / name.replace("/", "_")


def discard(spec: Artifact) -> None:
    """Remove whatever an unfinished execution has left."""
    for target in spec.targets:
        remove(temporary(target).parent)
    remove(scratch_folder(spec.name))


def remove(path: Path) -> None:
    """Remove a file or a whole folder, present or not, read-only folders too.

    Takes one file handle at a time: shutil.rmtree keeps one for each level. Raises OSError.
    """
    if not path.is_dir() or path.is_symlink():
        path.unlink(missing_ok=True)
        return
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        path.chmod(0o700)  # Go's module cache, among others, keeps its folders read-only
    for entry in list(path.iterdir()):
        remove(entry)
    path.rmdir()


def make(spec: Artifact, report: Callable[[Message], object]) -> Outcome:
    """Run the recipe and put its targets in place.

    Returns {"targets": {path: digest}, "files": {path: [fingerprint, SHA-256]}, "size": bytes}.
    Raises BuildError, also for operating system errors such as a full disk; leaves nothing half-written.
    """
    try:
        discard(spec)
        outs = [temporary(target) for target in spec.targets]
        scratch = scratch_folder(spec.name)
        for folder in {scratch, *(out.parent for out in outs)}:
            folder.mkdir(parents=True, exist_ok=True)
        with only_declared(spec, outs, scratch), temporary_files(scratch / ".tmp"):
            build = Build(outs, scratch, report, spec.values)
            spec.build(build)
        for out, target in zip(outs, spec.targets, strict=True):
            if not os.path.lexists(out):
                raise BuildError(f"task {spec.name} did not make {target}", "its recipe must write b.outs")
        return _put_in_place(spec, outs, build.digests)
    except SystemExit as error:
        raise BuildError(f"task {spec.name}: its recipe called exit({error.code!r})") from error
    except OSError as error:
        raise explained(error) from error
    finally:
        discard(spec)


@contextmanager
def temporary_files(folder: Path) -> Iterator[None]:
    """Within this block, temporary files go to `folder`, those of children too: so nothing that is killed
    leaves them about the host."""
    folder.mkdir()
    held = tempfile.tempdir, os.environ.get("TMPDIR")
    tempfile.tempdir = os.environ["TMPDIR"] = str(folder)
    try:
        yield
    finally:
        tempfile.tempdir, outside = held
        if outside is None:
            del os.environ["TMPDIR"]
        else:
            os.environ["TMPDIR"] = outside


def explained(error: OSError) -> BuildError:
    """An operating system's error as a line for the user."""
    place = f": {error.filename}" if error.filename else ""
    return BuildError(f"{error.strerror or error}{place}", HINTS.get(error.errno or 0, ""))


def _put_in_place(spec: Artifact, outs: list[Path], digests: Digests) -> Outcome:
    """Digest and rename; then wait for the clock's next tick, so that later changes are sure to show."""
    targets: dict[str, str | None] = {}
    for out, target in zip(outs, spec.targets, strict=True):
        targets[target] = digests.of(str(out))
        place = TOP / target
        if place.is_dir() and not place.is_symlink():
            remove(place)
        out.replace(place)
    time.sleep(TICK_NS / 1e9)
    files = {}
    for target, digest in targets.items():
        if digest and digest[0].isdigit():
            files[target] = [fingerprint(os.lstat(TOP / target)), digest.partition(":")[2]]
    return {"targets": targets, "files": files, "size": sum(_size(TOP / target) for target in targets)}


def _size(path: Path) -> int:
    """Bytes of a file, or of all files of a folder."""
    if path.is_dir():
        return sum(entry.lstat().st_size for entry in path.rglob("*") if not entry.is_dir())
    return path.lstat().st_size
