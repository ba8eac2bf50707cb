"""What makes a task stale, and what does not."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tasks.lib import landlock
from tests.unit.engine.project import Project

DODO = """
def copy(b: Build) -> None:
    with open("/proc/self/fd/2", "w") as log:
        print("copying", file=log)
    text = (TOP / "in.txt").read_text() + "".join(sorted(p.name for p in (TOP / "src").rglob("*")))
    b.out.write_text(text)

def task_copy():
    inputs = {"files": [TOP / "in.txt"], "trees": [TOP / "src"]}
    yield artifact("copy", doc="", build=copy, targets=[BUILD / "copy"], **inputs)
"""


@pytest.fixture
def built(project: Project) -> Project:
    project.dodo(DODO)
    project.write("in.txt", "hello")
    project.write("src/one", "1")
    project.write("src/two", "2")
    (project.top / "src/link").symlink_to("one")
    project.run("copy")
    assert "nothing to do" in project.run("copy").stdout
    return project


def replace_within_mtime_and_size(top: Path) -> None:
    file = top / "in.txt"
    before = file.stat()
    file.write_text("jello")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert file.stat().st_mtime_ns == before.st_mtime_ns
    assert file.stat().st_size == before.st_size


def replace_member_within_mtime_and_size(top: Path) -> None:
    file = top / "src/one"
    before = file.stat()
    other = top / "src/.new"
    other.write_text("9")
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(file)


def retarget(top: Path) -> None:
    (top / "src/link").unlink()
    (top / "src/link").symlink_to("two")


def replace_link_by_copy(top: Path) -> None:
    (top / "src/link").unlink()
    shutil.copy(top / "src/one", top / "src/link")


CHANGES: dict[str, Callable[[Path], object]] = {
    "same mtime and size": replace_within_mtime_and_size,
    "member with same mtime and size": replace_member_within_mtime_and_size,
    "chmod of input": lambda top: (top / "in.txt").chmod(0o755),
    "chmod of member": lambda top: (top / "src/one").chmod(0o755),
    "chmod of folder": lambda top: (top / "src").chmod(0o700),
    "retargeted link": retarget,
    "link replaced by copy": replace_link_by_copy,
    "empty folder added": lambda top: (top / "src/empty").mkdir(),
    "member deleted": lambda top: (top / "src/two").unlink(),
    "member renamed": lambda top: (top / "src/two").rename(top / "src/three"),
    "member added": lambda top: (top / "src/new").write_text(""),
    "target truncated": lambda top: os.truncate(top / "build/copy", 1),
    "target swapped": lambda top: (top / "build/copy").write_text("hellolinkonetwX"),
    "target deleted": lambda top: (top / "build/copy").unlink(),
    "target made executable": lambda top: (top / "build/copy").chmod(0o755),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_rebuilds(built: Project, change: Callable[[Path], object]) -> None:
    change(built.top)
    assert "copy: done" in built.run("copy").stdout
    assert "nothing to do" in built.run("copy").stdout


def test_touch_rebuilds_nothing(built: Project) -> None:
    for path in built.top.rglob("*"):
        os.utime(path)
    assert "nothing to do" in built.run("copy").stdout


def test_copied_checkout_is_up_to_date(built: Project, tmp_path: Path) -> None:
    """Another absolute path, other inodes and times: as after the restore of a CI cache."""
    shutil.copytree(built.top, tmp_path / "elsewhere", symlinks=True)
    moved = object.__new__(Project)
    moved.top = tmp_path / "elsewhere"
    assert "nothing to do" in moved.run("copy").stdout
    (moved.top / "build/copy").write_text("half")
    assert "copy: done" in moved.run("copy").stdout
    assert moved.read("build/copy") == built.read("build/copy")


def test_reverted_input_after_interrupted_rebuild(built: Project) -> None:
    """The record of the old success must not outlive the start of a new attempt."""
    good = built.read("build/copy")
    built.dodo(
        DODO.replace("    b.out.write_text(text)", "    b.out.write_text('half'); os.kill(os.getpid(), 9)")
    )
    built.run("copy", status=2)
    built.dodo(DODO)
    assert "copy: done" in built.run("copy").stdout
    assert built.read("build/copy") == good
    assert built.leftovers() == []


def test_same_bytes_stop_the_rebuild(project: Project) -> None:
    """What depends on a target that was made again with the same bytes is up to date."""
    project.dodo("""
def first(b: Build) -> None:
    (TOP / "in.txt").read_text()
    b.out.write_text("constant")

def second(b: Build) -> None:
    b.out.write_bytes((BUILD / "first").read_bytes())

def task_all():
    yield artifact("first", doc="", build=first, targets=[BUILD / "first"], files=[TOP / "in.txt"])
    yield artifact("second", doc="", build=second, targets=[BUILD / "second"], files=[BUILD / "first"])
""")
    project.write("in.txt", "1")
    project.run("second")
    project.write("in.txt", "2")
    out = project.run("second").stdout
    assert "first: done" in out
    assert "second: done" not in out


def test_input_edited_during_the_run(project: Project) -> None:
    """The task read one of the two contents, nobody knows which: it must not count as done."""
    project.dodo("""
def copy(b: Build) -> None:
    b.out.write_text((TOP / "in.txt").read_text())
    time.sleep(0.05)
    os.system(f"printf other > '{TOP}/in.txt'")

def task_copy():
    return artifact("copy", doc="", build=copy, targets=[BUILD / "copy"], files=[TOP / "in.txt"])
""")
    project.write("in.txt", "first")
    done = project.run("copy", status=2)
    assert "in.txt changed while the task ran" in done.stdout
    assert project.run("copy").stdout.count("done") == 1
    assert project.read("build/copy") == "other"


def test_why_names_old_and_new(built: Project) -> None:
    built.write("in.txt", "changed")
    built.write("src/one", "changed")
    (built.top / "src/two").chmod(0o700)
    out = built.run("why", "copy").stdout
    assert "input in.txt changed" in out
    assert "src/one: mode 0644 sha256 6b86b273ff34 -> mode 0644 sha256 d67e2e944994" in out
    assert "src/two: mode 0644 sha256 d4735e3a265e -> mode 0700 sha256 d4735e3a265e" in out


def test_why_of_an_interrupted_task(built: Project) -> None:
    built.dodo(DODO.replace("    b.out", "    sys.exit(1)\n    b.out"))
    built.run("copy", status=2)
    built.dodo(DODO)
    assert "its last run failed or was interrupted" in built.run("why", "copy").stdout


def test_undeclared_input_is_refused(built: Project) -> None:
    built.write("secret", "x")
    built.dodo(DODO.replace("    b.out", "    text += (TOP / 'secret').read_text()\n    b.out"))
    done = built.run("copy", status=2)
    assert "task copy opened secret, which is not among its inputs" in done.stdout


@pytest.mark.parametrize(
    "question",
    [
        "(TOP / 'secret').exists()", "os.path.exists(TOP / 'secret')", "(TOP / 'secret').is_symlink()",
        "os.access(TOP / 'secret', os.R_OK)", "os.stat('secret')", "(TOP / 'missing').is_file()",
    ],
)  # fmt: skip
def test_asking_for_an_undeclared_input_is_refused(built: Project, question: str) -> None:
    built.write("secret", "x")
    built.dodo(DODO.replace("    b.out", f"    text += str({question})\n    b.out"))
    done = built.run("copy", status=2)
    assert re.search(r"task copy asked for (secret|missing), which is not among its inputs", done.stdout)


def test_what_a_recipe_removes_elsewhere_is_not_taken_for_an_input(built: Project, tmp_path: Path) -> None:
    (tmp_path / "tree/below").mkdir(parents=True)
    (tmp_path / "tree/below/file").touch()
    built.dodo(DODO.replace("    b.out", f"    import shutil; shutil.rmtree('{tmp_path}/tree')\n    b.out"))
    built.run("copy")
    assert not (tmp_path / "tree").exists()


def test_the_configuration_is_not_for_recipes(built: Project) -> None:
    built.write("versions.toml", "")
    built.dodo(DODO.replace('TOP / "in.txt").read_text()', 'TOP / "versions.toml").read_text()', 1))
    done = built.run("copy", status=None)
    assert "task copy loads the configuration" in done.stdout


@pytest.mark.skipif(not landlock.available(), reason="this kernel has no Landlock")
def test_undeclared_input_of_a_child_is_refused(project: Project) -> None:
    project.write("in.txt", "hello")
    project.write("secret", "s")
    project.write("sources/declared", "d")
    project.write("sources/other", "o")
    project.dodo("""
def copy(what: str, b: Build) -> None:
    run(["sh", "-c", what, "sh", b.out], cwd=TOP)

def task_copy():
    for name, what in (("own", 'cat in.txt >"$1"; cat "$1" /etc/passwd'),
                       ("listing", 'ls sources >"$1"; cat sources/declared'),
                       ("secret", 'cat secret >"$1"'), ("sibling", 'cat sources/other >"$1"'),
                       ("made", 'cat build/own >"$1"'), ("top", 'ls . >"$1"')):
        yield artifact(name, doc="", build=partial(copy, what), targets=[BUILD / name],
                       files=[TOP / "in.txt", TOP / "sources/declared"])
""")
    project.run("own", "listing")
    assert project.read("build/own") == "hello"
    assert project.read("build/listing").split() == ["declared", "other"]
    for name in ("secret", "sibling", "made", "top"):
        done = project.run(name, status=None)
        assert done.returncode
        assert "Permission denied" in done.stdout
