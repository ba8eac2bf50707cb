"""How long builds take, in a clone of the checkout that shares the user's caches."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tasks.lib.bench.graph import measure, read_rules, write_doit
from tasks.lib.bench.report import table
from tasks.lib.errors import BuildError
from tasks.lib.paths import TOP
from tasks.lib.process import run

COMMAND = ["./doit", "iso"]
REPEAT = 10
FRESH = "a fresh clone, caches warm"
NOTHING = "nothing has changed"
TOUCHED = "all tracked files have been touched"
Note = Callable[[str], None]


@dataclass(frozen=True)
class Figures:
    """Seconds by title: our builds, and no-ops of plain doit."""

    ours: dict[str, float]
    others: dict[str, float]


@dataclass(frozen=True)
class Edit:
    """A change to one file, and how long it may take to a bootable ISO, in seconds."""

    title: str
    path: str
    added: str
    goal: float
    changes_iso: bool = True


EDITS = (
    Edit("an edit of an init stage", "init/stages/40-sysctl.sh", "\n# edited\n", 3),
    Edit("an edit of an overlay file", "overlay/usr/lib/kubesolo-os/functions.sh", "\n# edited\n", 15),
    Edit("an edit of a Go file of the payload", "payload/main.go", "\n// edited\nvar _ = 1\n", 60),
    Edit("an edit of the README", "README.md", "\nedited\n", 1, changes_iso=False),
)


@contextmanager
def clone(folder: Path) -> Iterator[Path]:
    """A clone of what is committed, below `folder`; removed afterwards."""
    place = folder / "checkout"
    shutil.rmtree(place, ignore_errors=True)
    run(["git", "clone", "--quiet", "--local", str(TOP), str(place)])
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def build_iso(checkout: Path) -> float:
    """Bring the ISO up to date: the seconds that it took."""
    start = time.monotonic()
    run(COMMAND, cwd=checkout)
    return time.monotonic() - start


def iso_digest(checkout: Path) -> str:
    """SHA-256 of the ISO; raises BuildError when there is not exactly one."""
    found = list((checkout / "output").glob("*.iso"))
    if len(found) != 1:
        raise BuildError(f"{checkout}/output holds {len(found)} ISOs")
    with found[0].open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def measure_builds(folder: Path, note: Note) -> Figures:
    """Seconds by title: our builds, and no-ops of plain doit; intermediate files below `folder`.

    Raises BuildError when a build fails, or does not change the ISO though it should, or the other way.
    """
    folder.mkdir(parents=True, exist_ok=True)
    ours: dict[str, float] = {}

    def add(title: str, seconds: float) -> None:
        ours[title] = seconds
        note(f"{title}: {seconds:.2f} s")

    with clone(folder) as checkout:
        add(FRESH, build_iso(checkout))
        before = iso_digest(checkout)
        add(NOTHING, min(measure(COMMAND, checkout, REPEAT)))
        add(TOUCHED, touch_all(checkout))
        if iso_digest(checkout) != before:
            raise BuildError("touching files has changed the ISO")
        for edit in EDITS:
            add(edit.title, measure_edit(checkout, edit, before))
        others = dict(compare(checkout, folder))
    return Figures(ours, others)


def touch_all(checkout: Path) -> float:
    """The time for an ISO after all tracked files have got new times."""
    names = run(["git", "ls-files", "-z"], cwd=checkout).stdout.decode().split("\0")
    for name in filter(None, names):
        os.utime(checkout / name, follow_symlinks=False)
    return build_iso(checkout)


def measure_edit(checkout: Path, edit: Edit, before: str) -> float:
    """The time from an edit to the ISO; the edit is undone, which must give the old ISO again."""
    path = checkout / edit.path
    text = path.read_text()
    path.write_text(text + edit.added)
    seconds = build_iso(checkout)
    if (iso_digest(checkout) != before) != edit.changes_iso:
        raise BuildError(f"edit of {edit.path}: the ISO has {'not ' if edit.changes_iso else ''}changed")
    path.write_text(text)
    build_iso(checkout)
    if iso_digest(checkout) != before:
        raise BuildError(f"edit of {edit.path} undone: the ISO is not the old one")
    return seconds


def compare(checkout: Path, folder: Path) -> Iterator[tuple[str, float]]:
    """No-op times of an empty dodo.py, and of plain doit on the same graph."""
    rules = read_rules(checkout)
    for folder_needed in {Path(target).parent for rule in rules for target in rule.targets}:
        folder_needed.mkdir(parents=True, exist_ok=True)
    for name, compared in (("empty dodo.py", []), ("plain doit", rules)):
        place = folder / name.replace(" ", "-")
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        write_doit(compared, place)
        yield name, min(measure([sys.executable, "-m", "doit"], place, REPEAT))


def describe_builds(figures: Figures) -> str:
    """Two tables: builds with their goals, and no-ops with their ratios."""
    goals = {NOTHING: 0.4, TOUCHED: 1.0, **{edit.title: edit.goal for edit in EDITS}}
    builds = [
        (title, f"< {goals[title]:g}" if title in goals else "", f"{seconds:.2f}")
        for title, seconds in figures.ours.items()
    ]
    noop = figures.ours[NOTHING]
    others = [(name, f"{seconds:.3f}", f"{noop / seconds:.1f}") for name, seconds in figures.others.items()]
    ratios = table(
        ("nothing to do", "s", "ours, times that"), [("`./doit iso`", f"{noop:.3f}", "1"), *others]
    )
    return f"{table(('`./doit iso` after', 'goal (s)', 's'), builds)}\n\n{ratios}"
