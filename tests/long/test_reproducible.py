"""Two builds on different days of a builder's life give the same bytes."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tasks.lib.debian import bootstrap
from tasks.lib.errors import BuildError
from tests.long.checkout import STRANGER, Checkout

pytestmark = [pytest.mark.long, pytest.mark.timeout(3 * 3600)]
SYSTEM_PYTHON = "/usr/bin/python3"
PARTS = tuple(f"build/amd64/**/*.{kind}" for kind in ("tar", "squashfs", "gz", "img", "iso"))


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that another user may enter, which pytest's own are not."""
    place = Path(tempfile.mkdtemp(prefix="kubesolo-os-"))
    place.chmod(0o755)
    yield place
    shutil.rmtree(place, ignore_errors=True)


@pytest.mark.parametrize(
    ("task", "patterns"),
    [
        ("iso-stub", PARTS),
        ("image-coredns", ("build/*/images/*.tar",)),
        ("iso", (*PARTS, "output/*")),
    ],
)
def test_same_bytes(folder: Path, task: str, patterns: tuple[str, ...]) -> None:
    """Other folder, umask, time zone, locale, number of jobs and user; empty Go caches for both."""
    first = Checkout(folder / "one", folder / "cache of one")
    second = Checkout(folder / "second one, with blanks", folder / "cache of second", first)
    first.run(task, TZ="UTC", LC_ALL="C.UTF-8")
    expected = first.digests(*patterns)
    assert expected

    stranger: list[str] = []
    other: dict[str, Any] = {"TZ": "Asia/Kolkata", "LC_ALL": "tr_TR.UTF-8", "LANG": "de_DE.UTF-8"}
    if os.geteuid() == 0 and Path(SYSTEM_PYTHON).exists():
        stranger = ["setpriv", f"--reuid={STRANGER}", f"--regid={STRANGER}", "--clear-groups"]
        other["PYTHON"] = SYSTEM_PYTHON
        second.give_to(STRANGER)
    second.run(task, "-n", "1", prefix=stranger, umask=0o077, **other)
    assert second.digests(*patterns) == expected


def test_the_live_cds_root_has_the_same_bytes(folder: Path) -> None:
    """Packages' scripts run anew, in another folder, with another umask, time zone and locale."""
    try:
        bootstrap.mode()
    except BuildError as error:
        pytest.skip(error.what)
    first = Checkout(folder / "one", folder / "cache of one")
    second = Checkout(folder / "second", folder / "cache of second", first)
    patterns = ("build/*/live/*.tar", "output/*.tar.gz")
    first.run("live-rootfs", TZ="UTC", LC_ALL="C.UTF-8")
    expected = first.digests(*patterns)
    assert len(expected) >= 4
    second.run("live-rootfs", "-n", "1", umask=0o077, TZ="Asia/Kolkata", LC_ALL="tr_TR.UTF-8")
    assert second.digests(*patterns) == expected
