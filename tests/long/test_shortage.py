"""A full disk and too few file handles in every kind of task: said clearly, nothing half-written."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.long.checkout import KINDS, Checkout, leftovers

pytestmark = [pytest.mark.long, pytest.mark.timeout(3600)]
HANDLES = (12, 14, 16, 20, 28)
HANDLE_WORDS = ("oo many open files", "no file descriptors")
SPACE_WORDS = ("No space left on device", "no space left on device", "disk is full")


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A file system of its own."""
    folder = tmp_path_factory.mktemp("disk")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4g", "none", folder], check=True)
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.fixture(scope="module")
def built(disk: Path, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A checkout on that file system; its cache lies elsewhere."""
    return Checkout(disk / "checkout", tmp_path_factory.mktemp("cache") / "cache")


@contextlib.contextmanager
def filled(disk: Path, free: int) -> Iterator[None]:
    """Leave so many bytes free on the disk, for a while."""
    filler = disk / "filler"
    try:
        with filler.open("wb") as out:
            found = os.statvfs(disk)
            os.posix_fallocate(out.fileno(), 0, found.f_bavail * found.f_frsize - free)
        yield
    finally:
        filler.unlink()


def fails(checkout: Checkout, task: str, words: tuple[str, ...], *prefix: str) -> bool:
    """Run a task that may fail, then for one of the reasons in `words`; whether it did."""
    with checkout.start(task, prefix=prefix) as child:
        out, _ = child.communicate(timeout=1800)
    if child.returncode:
        assert any(word in out for word in words), out
        assert "Traceback" not in out
    assert leftovers(checkout) == []
    return child.returncode != 0


@pytest.mark.parametrize(("task", "patterns"), KINDS.values(), ids=KINDS)
def test_full_disk(built: Checkout, disk: Path, task: str, patterns: list[str]) -> None:
    built.run(task)
    clean = built.digests(*patterns)
    size = sum(path.stat().st_size for pattern in patterns for path in built.top.glob(pattern))
    built.run("forget", task)
    with filled(disk, size // 3):
        assert fails(built, task, SPACE_WORDS)
    assert built.digests(*patterns) == clean, "the old targets are still there"
    built.run(task)
    assert built.digests(*patterns) == clean


@pytest.mark.parametrize(("task", "patterns"), KINDS.values(), ids=KINDS)
def test_few_file_handles(built: Checkout, task: str, patterns: list[str]) -> None:
    built.run(task)
    clean = built.digests(*patterns)
    for handles in HANDLES:  # small kinds manage with the smallest
        built.run("forget", task)
        fails(built, task, HANDLE_WORDS, "sh", "-c", f'ulimit -n {handles}; exec "$@"', "sh")
    built.run(task)
    assert built.digests(*patterns) == clean
