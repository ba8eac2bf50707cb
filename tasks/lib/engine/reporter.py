"""What a run says: plain lines, and a table at the end."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from doit.exceptions import BaseFail, UnmetDependency
from doit.reporter import ZeroReporter
from doit.task import Task

from tasks.lib.engine import worker
from tasks.lib.engine.progress import Line
from tasks.lib.engine.records import Change
from tasks.lib.engine.spec import Artifact
from tasks.lib.errors import BuildError
from tasks.lib.paths import TOP
from tasks.lib.text import seconds_text, size_text, whole_seconds

QUIET, NORMAL, VERBOSE = 0, 1, 2
SIGN_OF_LIFE_S = 60
TAIL_LINES = 12
TAIL_BYTES = 8192
# More targets than these are shown as their folder.
MANY = 3


class Reporter(ZeroReporter):
    """Plain lines, for logs and for terminals that can not do better. doit's runner and ours call it."""

    def __init__(self, out: IO[str], level: int = NORMAL) -> None:
        super().__init__(out, {})
        self.level = level
        self.lines: dict[str, Line] = {}
        self._built: list[tuple[str, int, float, tuple[str, ...]]] = []
        self._failed = False
        self._current = 0
        self._selected: list[Task] = []
        self._started = time.monotonic()

    def write(self, text: str) -> None:
        """Print one or more whole lines."""
        self.outstream.write(f"{text}\n")
        self.outstream.flush()

    def initialize(self, tasks: dict[str, Task], selected_tasks: list[str]) -> None:
        """Called once when the tasks are known."""
        self._selected = [tasks[name] for name in selected_tasks]

    def started(self, name: str, reasons: Sequence[Change], expected: float | None) -> None:
        """Called when a worker has started. expected: seconds that the task took before."""
        now = time.monotonic()
        self.lines[name] = Line(now, expected, said=now)
        more = f" and {len(reasons) - 1} more" if len(reasons) > 1 else ""
        self.announce(name, f"{reasons[0]}{more}" if reasons else "started")
        if self.level == VERBOSE:
            for change in reasons:
                self.write(f"{name}:   {change}")

    def announce(self, name: str, reason: str) -> None:
        """Say that a task starts, and why."""
        if self.level > QUIET:
            self.write(f"{name}: {reason}")

    def message(self, name: str, message: dict[str, Any]) -> None:
        """Called with what a worker says while it runs."""
        self.lines[name].update(message)
        if "note" in message and (self.level > QUIET or is_warning(message["note"])):
            self.write(f"{name}: {message['note']}")
        elif "log" in message and self.level == VERBOSE:
            self.write(f"{name}: {message['log']}")

    def refresh(self) -> None:
        """Called several times a second while workers run: a sign of life now and then, for logs."""
        for name, line in self.lines.items():
            if self.level > QUIET and time.monotonic() > line.said + SIGN_OF_LIFE_S:
                line.said = time.monotonic()
                words = (whole_seconds(line.elapsed()), line.figures().strip(), line.remaining())
                self.write(f"{name}: at work for {', '.join(word for word in words if word)}")

    def made(self, spec: Artifact, size: int, seconds: float) -> None:
        """Called when the targets of an artifact are in place and recorded."""
        del self.lines[spec.name]
        self._built.append((spec.name, size, seconds, spec.targets))
        if self.level > QUIET:
            self.write(f"{spec.name}: done in {seconds_text(seconds)}, {size_text(size)}")

    def failed(self, name: str, error: BuildError) -> None:
        """Called when a worker has failed: what, the last lines of its log, the log, what to do."""
        self.lines.pop(name, None)
        self._failed = True
        lines = [f"{name}: FAILED: {error.what}"]
        log = worker.log_path(name)
        tail = [line for line in _tail(log) if line.removeprefix("$ ") not in str(error)]
        lines += [f"{name}:   {line}" for line in tail]
        if log.exists() and log.stat().st_size:
            lines.append(f"{name}: log: {log}")
        if error.hint:
            lines.append(f"{name}: hint: {error.hint}")
        self.write("\n".join(lines))

    def waiting_for(self, names: list[str]) -> None:
        """Called when nothing new is started any more, but some tasks are let finish."""
        self.write(f"waiting for {', '.join(names)} to finish (Ctrl-C stops at once)")

    def interrupted(self, name: str) -> None:
        """Called when a signal has ended the run."""
        self.write(f"stopped by {name}: nothing half-written is left, the next run goes on from here")

    def add_failure(self, task: Task, fail: BaseFail) -> None:
        """Called for a task that was not begun (a missing input, a failed dependency)."""
        self._failed = True
        if isinstance(fail, UnmetDependency):
            self.write(f"{task.name}: not made, as it needs {fail.message.replace(' ', ', ')}")
        else:
            self.write(f"{task.name}: FAILED: {fail.message.partition('checking dependencies: ')[2]}")

    def skip_uptodate(self, task: Task) -> None:
        """Called when there is nothing to do for a task."""
        self._current += 1

    def runtime_error(self, msg: str) -> None:
        """Called for an error of the graph."""
        self.write(f"ERROR: {msg}")

    def complete_run(self) -> None:
        """Called at the end: the table of what was built, or that there was nothing to do."""
        if self.level > QUIET and self._built:
            self._table()
        elif self.level > QUIET and self._current and not self._failed:
            targets = [path for task in self._selected for path in task.targets if (TOP / path).exists()]
            what = f"{targets[0]} is" if len(targets) == 1 else f"{self._current} tasks are"
            self.write(f"nothing to do: {what} up to date")

    def _table(self) -> None:
        rows = [("built", "size", "time", "where")]
        for name, size, seconds, targets in self._built:
            rows.append((name, size_text(size), seconds_text(seconds), places(targets)))
        widths = [max(len(row[column]) for row in rows) for column in range(3)]
        self.write("")
        for name, size_column, time_column, where in rows:
            line = f"{name:<{widths[0]}}  {size_column:>{widths[1]}}  {time_column:>{widths[2]}}  {where}"
            self.write(line.rstrip())
        self.write(f"in {seconds_text(time.monotonic() - self._started)}")


def places(targets: Sequence[str]) -> str:
    """Where to find what was built: a few files by name, many by their folder."""
    if len(targets) <= MANY:
        return ", ".join(targets)
    return f"{os.path.commonpath([os.path.dirname(target) for target in targets])}/ ({len(targets)} files)"


def _tail(log: Path) -> list[str]:
    """The last lines of a log file."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - TAIL_BYTES))
            return file.read().decode(errors="replace").splitlines()[-TAIL_LINES:]
    except OSError:
        return []


def is_warning(note: str) -> bool:
    """Whether a recipe's note has to be seen in every mode."""
    return note.startswith("WARNING")
