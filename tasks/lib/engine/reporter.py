"""What a run says: plain lines, and a table at the end."""

from __future__ import annotations

import time
from pathlib import Path
from typing import IO, Any

from doit.exceptions import BaseFail, UnmetDependency
from doit.task import Task

from tasks.lib.engine import worker
from tasks.lib.engine.progress import Line
from tasks.lib.engine.records import Change, artifact_of
from tasks.lib.engine.spec import Artifact
from tasks.lib.engine.text import seconds_text, size_text, whole_seconds
from tasks.lib.errors import BuildError
from tasks.lib.paths import TOP

QUIET, NORMAL, VERBOSE = 0, 1, 2
SIGN_OF_LIFE_S = 60
TAIL_LINES = 12
TAIL_BYTES = 8192


class Reporter:
    """Plain lines, for logs and for terminals that can not do better."""

    desc = "plain lines"

    def __init__(self, out: IO[str], level: int = NORMAL) -> None:
        self.out = out
        self.level = level
        self.reasons: dict[str, list[Change]] = {}
        self.expected: dict[str, float] = {}
        self._built: list[tuple[str, int, float, tuple[str, ...]]] = []
        self._failed: list[str] = []
        self.lines: dict[str, Line] = {}
        self._current: list[str] = []
        self._selected: list[Task] = []
        self._started = time.monotonic()

    def write(self, text: str) -> None:
        """Print one or more whole lines."""
        self.out.write(f"{text}\n")
        self.out.flush()

    def initialize(self, tasks: dict[str, Task], selected_tasks: list[str]) -> None:
        """Called once when the tasks are known."""
        self._selected = [tasks[name] for name in selected_tasks]

    def get_status(self, task: Task) -> None:
        """Called before a task is checked."""

    def execute_task(self, task: Task) -> None:
        """Called when a worker has started."""
        now = time.monotonic()
        self.lines[task.name] = Line(now, self.expected.get(task.name), said=now)
        self.announce(task)

    def announce(self, task: Task) -> None:
        """Say that a task starts, and why."""
        if self.level == NORMAL:
            self.write(f"{task.name}: {self.reason(task)}")
        elif self.level == VERBOSE:
            self.write(f"{task.name}: started")
            for change in self.reasons.get(task.name, []):
                self.write(f"{task.name}:   {change}")

    def reason(self, task: Task) -> str:
        """The first reason, in one phrase."""
        reasons = self.reasons.get(task.name, [])
        more = f" and {len(reasons) - 1} more" if len(reasons) > 1 else ""
        return f"{reasons[0]}{more}" if reasons else "started"

    def message(self, task: Task, message: dict[str, Any]) -> None:
        """Called with what a worker says while it runs."""
        self.lines[task.name].update(message)
        if "note" in message and (self.level > QUIET or is_warning(message["note"])):
            self.write(f"{task.name}: {message['note']}")
        elif "log" in message and self.level == VERBOSE:
            self.write(f"{task.name}: {message['log']}")

    def refresh(self) -> None:
        """Called several times a second while workers run: a sign of life now and then, for logs."""
        for name, line in self.lines.items():
            if self.level > QUIET and time.monotonic() > line.said + SIGN_OF_LIFE_S:
                line.said = time.monotonic()
                words = (whole_seconds(line.elapsed()), line.figures().strip(), line.remaining())
                self.write(f"{name}: at work for {', '.join(word for word in words if word)}")

    def made(self, spec: Artifact, size: int, seconds: float) -> None:
        """Called when the targets of an artifact are in place and recorded."""
        self.lines.pop(spec.name, None)
        self._built.append((spec.name, size, seconds, spec.targets))
        if self.level > QUIET:
            self.write(f"{spec.name}: done in {seconds_text(seconds)}, {size_text(size)}")

    def failed(self, task: Task, error: BuildError) -> None:
        """Called when a worker has failed: what, the last lines of its log, the log, what to do."""
        self.lines.pop(task.name, None)
        self._failed.append(task.name)
        lines = [f"{task.name}: FAILED: {error.what}"]
        log = worker.log_path(task.name)
        tail = [line for line in _tail(log) if line.removeprefix("$ ") not in str(error)]
        lines += [f"{task.name}:   {line}" for line in tail]
        if log.exists() and log.stat().st_size:
            lines.append(f"{task.name}: log: {log}")
        if error.hint:
            lines.append(f"{task.name}: hint: {error.hint}")
        self.write("\n".join(lines))

    def waiting_for(self, names: list[str]) -> None:
        """Called when nothing new is started any more, but some tasks are let finish."""
        self.write(f"waiting for {', '.join(names)} to finish (Ctrl-C stops at once)")

    def interrupted(self, name: str) -> None:
        """Called when a signal has ended the run."""
        self.write(f"stopped by {name}: nothing half-written is left, the next run goes on from here")

    def add_success(self, task: Task) -> None:
        """Called when a plain doit task has succeeded."""
        self.lines.pop(task.name, None)

    def add_failure(self, task: Task, fail: BaseFail) -> None:
        """Called for a failure that did not come from a worker (a missing input, a failed dependency)."""
        if not fail.report:
            return
        self._failed.append(task.name)
        if isinstance(fail, UnmetDependency):
            self.write(f"{task.name}: not made, as it needs {fail.message.replace(' ', ', ')}")
        else:
            what = fail.message.partition("checking dependencies: ")[2] or fail.message
            self.write(f"{task.name}: FAILED: {what}")

    def skip_uptodate(self, task: Task) -> None:
        """Called when there is nothing to do for a task."""
        if artifact_of(task):
            self._current.append(task.name)

    def skip_ignore(self, task: Task) -> None:
        """doit's ignore command is not offered."""

    def teardown_task(self, task: Task) -> None:
        """Artifacts have no teardown."""

    def cleanup_error(self, exception: BaseFail) -> None:
        """Called when a teardown failed."""
        self.write(exception.get_msg())

    def runtime_error(self, msg: str) -> None:
        """Called for an error of the graph."""
        self.write(f"ERROR: {msg}")

    def complete_run(self) -> None:
        """Called at the end: the table of what was built, or that there was nothing to do."""
        if self.level == QUIET:
            return
        if self._built:
            self._table()
        elif not self._failed and self._current:
            self.write(f"nothing to do: {self._products()} up to date")

    def _products(self) -> str:
        """The selected tasks' targets, in short."""
        targets = [target for task in self._selected for target in task.targets if (TOP / target).exists()]
        return f"{', '.join(targets)} is" if len(targets) == 1 else f"{len(self._current)} tasks are"

    def _table(self) -> None:
        rows = [
            (name, size_text(size), seconds_text(seconds), ", ".join(targets))
            for name, size, seconds, targets in self._built
        ]
        rows.insert(0, ("built", "size", "time", "where"))
        widths = [max(len(row[column]) for row in rows) for column in range(3)]
        self.write("")
        for name, size, seconds, where in rows:
            self.write(f"{name:<{widths[0]}}  {size:>{widths[1]}}  {seconds:>{widths[2]}}  {where}".rstrip())
        self.write(f"in {seconds_text(time.monotonic() - self._started)}")


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
