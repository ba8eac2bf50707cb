"""A run that has nothing to do costs next to nothing, in processor time, which other load disturbs little."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.engine.project import Project

TASKS = 30
FILES = 3000
DODO = f"""
def copy(b: Build) -> None:
    b.out.write_bytes(bytes(1_000_000))

def task_all():
    for number in range({TASKS}):
        target = BUILD / str(number)
        yield artifact(f"t{{number}}", doc="", build=copy, targets=[target], trees=[TOP / "tree"])
"""


def seconds(argv: list[str], env: dict[str, str], cwd: Path) -> float:
    """The least processor time of three runs."""
    found = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(argv, cwd=cwd, env=env, check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        found.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(found)


@pytest.fixture
def large(project: Project) -> Project:
    project.dodo(DODO)
    for number in range(FILES):
        project.write(f"tree/{number % 50}/{number}", str(number))
    project.run()
    return project


def test_nothing_to_do(large: Project, tmp_path: Path) -> None:
    """Thirty tasks on a tree of 3,000 files, against plain doit with an empty dodo.py."""
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "dodo.py").write_text("")
    plain = seconds([sys.executable, "-m", "doit", "list"], large.environment(), empty)
    ours = seconds(large.command("t0"), large.environment(), large.top)
    assert ours - plain < 0.15, (ours, plain)
    everything = seconds(large.command(), large.environment(), large.top)
    assert everything - plain < 0.5, (everything, plain)


def test_touch_everything(large: Project) -> None:
    for path in large.top.rglob("*"):
        os.utime(path, follow_symlinks=False)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    out = large.run().stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert "nothing to do" in out
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1
