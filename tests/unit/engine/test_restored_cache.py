"""A CI cache of another commit: what is wrong in it is rebuilt, what is right is not."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import doit
import pytest

from tasks.lib.code.source import summarise
from tasks.lib.paths import TOP
from tests.unit.engine.project import Project

DODO = """
def copy(name: str, b: Build) -> None:
    words = [f"{name}:{word!r:>{8}}" f"" for word in (TOP / "src" / name).read_text().split()]
    b.out.write_text("\\n".join(words))

def pack(b: Build) -> None:
    b.out.write_text("".join((BUILD / name).read_text() for name in "abc"))

def task_all():
    for name in "abc":
        source = TOP / "src" / name
        yield artifact(name, doc="", build=partial(copy, name), targets=[BUILD / name], files=[source])
    parts = [BUILD / name for name in "abc"]
    yield artifact("pack", doc="", build=pack, targets=[TOP / "output/pack"], files=parts)
"""


@pytest.fixture
def old(project: Project) -> Project:
    """The commit whose build was cached."""
    project.dodo(DODO)
    for name in "abc":
        project.write(f"src/{name}", f"{name} first version\n")
    project.run()
    return project


def restore(old: Project, folder: Path) -> Project:
    """Another checkout, into which build/ and output/ are unpacked as CI does: new inodes and times."""
    new = Project(folder / "another path")
    new.dodo(DODO)
    for name in "abc":
        new.write(f"src/{name}", old.read(f"src/{name}"))
    archive = folder / "cache.tar"
    subprocess.run(["tar", "-cf", archive, "-C", old.top, "build", "output"], check=True)
    subprocess.run(["tar", "-xmf", archive, "-C", new.top], check=True)
    return new


def done(project: Project, command: list[str] | None = None) -> set[str]:
    """Which tasks a run made."""
    argv = command or project.command()
    env = project.environment() | {"PYTHONPATH": str(Path(doit.__file__).parents[1])}
    run = subprocess.run(argv, cwd="/", env=env, capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    return {line.partition(":")[0] for line in run.stdout.splitlines() if ": done in" in line}


def test_same_commit(old: Project, tmp_path: Path) -> None:
    assert done(restore(old, tmp_path)) == set()


def test_another_commit(old: Project, tmp_path: Path) -> None:
    new = restore(old, tmp_path)
    new.write("src/b", "b second version\n")
    assert done(new) == {"b", "pack"}


def test_truncated_swapped_and_lost_targets(old: Project, tmp_path: Path) -> None:
    new = restore(old, tmp_path)
    os.truncate(new.top / "build/a", 3)
    shutil.copy(new.top / "build/b", new.top / "build/c")
    assert done(new) == {"a", "c"}
    assert new.read("output/pack") == old.read("output/pack")
    (new.top / "output/pack").unlink()
    assert done(new) == {"pack"}


def test_half_of_the_cache(old: Project, tmp_path: Path) -> None:
    """The database came back and the targets did not, and the other way round."""
    new = restore(old, tmp_path)
    for name in "abc":
        (new.top / "build" / name).unlink()
    assert done(new) == {"a", "b", "c"}
    (new.top / "build/tasks.db").unlink()
    assert done(new) == {"a", "b", "c", "pack"}


def other_pythons() -> list[str]:
    """Other supported versions of Python on this host."""
    found = []
    beside = Path(sys.base_prefix).parent  # version managers keep them side by side
    for minor in range(11, 16):
        places = [shutil.which(f"python3.{minor}"), *sorted(beside.glob(f"3.{minor}.*/bin/python3"))]
        program = str(next((place for place in reversed(places) if place), ""))
        if not program or minor == sys.version_info[1]:
            continue
        probe = "import sqlite3, ctypes, tomllib"
        if subprocess.run([program, "-c", probe], capture_output=True, check=False).returncode == 0:
            found.append(program)
    return found


def test_another_python(old: Project, tmp_path: Path) -> None:
    """Records hold nothing of an interpreter's own: neither pickles nor bytecode."""
    new = restore(old, tmp_path)
    assert b"pickle" not in (new.top / "build/tasks.db").read_bytes()
    for program in other_pythons():
        assert done(new, [program, *new.command()[1:]]) == set(), program


def test_code_digests_are_the_same_for_every_python() -> None:
    """All of our own modules, summarised by the other interpreters."""
    script = (
        "import sys, json; sys.path.insert(0, sys.argv[1]); from pathlib import Path\n"
        "import importlib.util as u; s = u.spec_from_file_location('source', sys.argv[1] + "
        "'/tasks/lib/code/source.py'); m = u.module_from_spec(s); s.loader.exec_module(m)\n"
        "print(json.dumps([m.summarise(Path(p).read_text()) for p in sys.argv[2:]], sort_keys=True))"
    )
    files = [str(path) for path in sorted((TOP / "tasks").rglob("*.py"))]
    expected = [summarise(Path(path).read_text()) for path in files]
    for program in [sys.executable, *other_pythons()]:
        out = subprocess.run(
            [program, "-c", script, TOP, *files], capture_output=True, text=True, check=True
        ).stdout
        for path, mine, theirs in zip(files, expected, json.loads(out), strict=True):
            assert json.loads(json.dumps(mine)) == theirs, (program, path)
