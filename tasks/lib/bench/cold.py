"""Builds from nothing but downloads: the payload against the bare compiler, the ISO against its bounds."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tasks.lib.bench.builds import clone
from tasks.lib.bench.graph import longest_chain, read_rules
from tasks.lib.bench.report import table
from tasks.lib.engine.database import Database
from tasks.lib.go.program import build_command
from tasks.lib.paths import cache_dir
from tasks.lib.process import run
from tasks.payload import COMMAND, HELPERS, KUBESOLO

EDITED = Path("payload", "main.go")
EDIT = "\n// edited\nvar _ = 1\n"
# What a cold build may find in the cache: what came from elsewhere, not what was compiled here.
DOWNLOADED = ("objects", "venv", "go/mod")
PAYLOAD_GOAL = 1.1
WHOLE_GOAL = 1.5
Note = Callable[[str], None]


@dataclass(frozen=True)
class Figures:
    """Seconds. bare, task: the compiler alone and our task, from an empty compile cache and after an edit.

    whole: `./doit iso`, wall clock; cpu: its processes' time over all cores; chain: its longest chain.
    """

    bare: float
    bare_edit: float
    task: float
    task_edit: float
    whole: float
    cpu: float
    cores: int
    chain: float
    chain_tasks: list[str]

    def bound(self) -> float:
        """What no order of the tasks can beat."""
        return max(self.chain, self.cpu / self.cores)


def measure_cold(folder: Path, cores: int, note: Note) -> Figures:
    """Measure below `folder`, which is used up.

    Raises BuildError when a build fails.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with clone(folder) as checkout:
        bare, bare_edit = twice(checkout, lambda: compile_bare(checkout, folder))
        note(f"bare go build: {bare:.1f} s, after an edit {bare_edit:.1f} s")
        with compile_cache(folder) as env:
            task, task_edit = twice(checkout, lambda: build("payload", checkout, env))
        note(f"the payload task: {task:.1f} s, after an edit {task_edit:.1f} s")
    with clone(folder) as checkout, compile_cache(folder) as env:
        before = children_seconds()
        whole = build("iso", checkout, env)
        cpu = children_seconds() - before
        chain, names = longest_chain(read_rules(checkout), task_seconds(checkout))
        note(f"the ISO: {whole:.1f} s; {cpu:.0f} s of processor time; longest chain {chain:.0f} s")
    return Figures(bare, bare_edit, task, task_edit, whole, cpu, cores, chain, names)


def twice(checkout: Path, build: Callable[[], float]) -> tuple[float, float]:
    """The seconds of a build, and of the same after an edit of one Go file, which is undone."""
    first = build()
    path = checkout / EDITED
    text = path.read_text()
    path.write_text(text + EDIT)
    second = build()
    path.write_text(text)
    return first, second


def compile_bare(checkout: Path, folder: Path) -> float:
    """Compile the payload's programs with nothing but `go build`, with a compile cache of its own."""
    module = checkout / "payload"
    commands = [
        build_command(module, program, folder / "bare" / Path(path).name)
        for path, program in {COMMAND: KUBESOLO, **HELPERS}.items()
    ]
    start = time.monotonic()
    for argv, env in commands:
        run(argv, cwd=module, env={**env, "GOCACHE": str(folder / "bare-cache")})
    return time.monotonic() - start


@contextmanager
def compile_cache(folder: Path) -> Iterator[dict[str, str]]:
    """The environment of a build with the user's downloads but empty compile caches, removed afterwards."""
    base = folder / "cache"
    shutil.rmtree(base, ignore_errors=True)
    for name in DOWNLOADED:
        place = base / "kubesolo-os" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(cache_dir() / name)
    try:
        yield {"XDG_CACHE_HOME": str(base)}
    finally:
        shutil.rmtree(base, ignore_errors=True)


def build(task: str, checkout: Path, env: Mapping[str, str]) -> float:
    """Bring a task up to date: the seconds that it took."""
    start = time.monotonic()
    run(["./doit", task], cwd=checkout, env=env)
    return time.monotonic() - start


def children_seconds() -> float:
    """Processor time of all our children that have ended, in seconds."""
    times = os.times()
    return times.children_user + times.children_system


def task_seconds(checkout: Path) -> dict[str, float]:
    """How long every task took, as its database says."""
    database = Database(str(checkout / "build" / "tasks.db"))
    names = [rule.name for rule in read_rules(checkout)]
    return {name: float(held) for name in names if (held := database.value("facts", f"seconds:{name}"))}


def describe_cold(found: Figures) -> str:
    """Two tables: the payload with its ratios, and the whole with what it is compared to."""
    payload = table(
        ("payload", "`go build` (s)", "`./doit payload` (s)", "ratio", "goal"),
        [
            (title, f"{bare:.1f}", f"{task:.1f}", f"{task / bare:.2f}", f"< {PAYLOAD_GOAL:g}")
            for title, bare, task in (
                ("compile cache empty", found.bare, found.task),
                ("after an edit of one file", found.bare_edit, found.task_edit),
            )
        ],
    )
    whole = table(
        ("`./doit iso`, compile caches empty", ""),
        [
            ("wall clock (s)", f"{found.whole:.0f}"),
            (f"processor time (s) / {found.cores} cores", f"{found.cpu / found.cores:.0f}"),
            (f"longest chain (s): {' → '.join(found.chain_tasks)}", f"{found.chain:.0f}"),
            (
                f"wall clock / the larger of the two (goal < {WHOLE_GOAL:g})",
                f"{found.whole / found.bound():.2f}",
            ),
        ],
    )
    return f"{payload}\n\n{whole}"
