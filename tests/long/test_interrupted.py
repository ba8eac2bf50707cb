"""Every kind of real task, killed at twenty moments: nothing half-written stays, the bytes are the same."""

from __future__ import annotations

import itertools
import os
import signal
import time
from pathlib import Path

import pytest

from tests.long.checkout import KINDS, Checkout, leftovers

pytestmark = [pytest.mark.long, pytest.mark.timeout(3600)]
MOMENTS = 21
SIGNALS = (signal.SIGKILL, signal.SIGINT, signal.SIGTERM)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A checkout for all kinds."""
    folder = tmp_path_factory.mktemp("interrupted")
    return Checkout(folder / "checkout", folder / "cache")


def living(checkout: Checkout) -> list[str]:
    """Processes that work in the checkout: by their command line, their folder or their open files."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            place = str((entry / "cwd").readlink())
        except OSError:
            continue
        if int(entry.name) != os.getpid() and (str(checkout.top) in words or str(checkout.top) in place):
            found.append(f"{entry.name} {words[:100]}")
    return found


@pytest.mark.parametrize(("task", "patterns"), KINDS.values(), ids=KINDS)
def test_killed_at_many_moments(built: Checkout, task: str, patterns: list[str]) -> None:
    built.run(task)
    clean = built.digests(*patterns)
    assert clean
    built.run("forget", task)
    start = time.monotonic()
    built.run(task)
    whole = time.monotonic() - start
    assert built.digests(*patterns) == clean
    for moment, number in zip(range(MOMENTS), itertools.cycle(SIGNALS), strict=False):
        built.run("forget", task)
        with built.start(task) as child:
            time.sleep(whole * (moment + 0.5) / MOMENTS)
            child.send_signal(number)
            out, _ = child.communicate(timeout=60)
        if number != signal.SIGKILL:
            assert leftovers(built) == [], out
            assert living(built) == [], out
        built.run(task)
        assert built.digests(*patterns) == clean, (moment, number)
        assert leftovers(built) == []
