"""What a run shows on a terminal: one line for each running task, with progress and time."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import IO, Any

from doit.task import Task
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from tasks.lib.engine.artifact import Artifact
from tasks.lib.engine.reporter import NORMAL, Reporter, is_warning
from tasks.lib.engine.text import size_text, whole_seconds
from tasks.lib.errors import BuildError

BAR_WIDTH = 20


@dataclass
class Line:
    """The state of one running task."""

    started: float
    expected: float | None
    done: float = 0
    total: float = 0
    unit: str = ""
    note: str = ""

    def progress(self) -> str:
        """A bar and figures, or what is known instead."""
        if not self.total:
            return f"{_amount(self.done, self.unit)}" if self.done else self.note
        share = min(1.0, self.done / self.total)
        bar = "━" * round(share * BAR_WIDTH)
        figures = f"{_amount(self.done, self.unit)} of {_amount(self.total, self.unit)}"
        return f"{bar:<{BAR_WIDTH}} {share:4.0%}  {figures}"

    def remaining(self) -> str:
        """Time left, from the progress, else from how long the task took before."""
        elapsed = time.monotonic() - self.started
        if self.total and self.done > 0 and elapsed > 1:
            left = elapsed * (self.total - self.done) / self.done
        elif self.expected and not self.total:
            left = self.expected - elapsed
        else:
            return ""
        return f"{whole_seconds(left)} left" if left > 0 else ""


def _amount(value: float, unit: str) -> str:
    return size_text(value) if unit == "B" else f"{value:g} {unit}".rstrip()


class LiveReporter(Reporter):
    """Lines for finished tasks scroll by; those of running tasks stay at the bottom."""

    desc = "live lines"

    def __init__(self, out: IO[str], level: int = NORMAL) -> None:
        super().__init__(out, level)
        self._console = Console(file=out, highlight=False)
        self._lines: dict[str, Line] = {}
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._shown = False

    def write(self, text: str) -> None:
        """Print above the live lines."""
        self._console.print(text, markup=False, soft_wrap=True)

    def execute_task(self, task: Task) -> None:
        """Add a line for the task, with the reason why it runs."""
        line = Line(time.monotonic(), self.expected.get(task.name), note=self.reason(task))
        self._lines[task.name] = line
        if not self._shown:
            self._live.start()
            self._shown = True
        self.refresh()

    def message(self, task: Task, message: dict[str, Any]) -> None:
        """Take over progress and notes."""
        line = self._lines[task.name]
        if "progress" in message:
            line.done, line.total, line.unit = message["progress"]
        elif "note" in message and is_warning(message["note"]):
            self.write(f"{task.name}: {message['note']}")
        elif "note" in message:
            line.note = message["note"]

    def refresh(self) -> None:
        """Draw the lines of running tasks."""
        if not self._shown:
            return
        table = Table.grid(padding=(0, 2))
        for name, line in self._lines.items():
            elapsed = whole_seconds(time.monotonic() - line.started)
            texts = (line.progress(), elapsed, line.remaining())
            table.add_row(Text(name, style="bold"), *map(Text, texts))
        self._live.update(table, refresh=True)

    def made(self, spec: Artifact, size: int, seconds: float) -> None:
        """Replace the task's line by one that stays."""
        self._lines.pop(spec.name, None)
        super().made(spec, size, seconds)

    def failed(self, task: Task, error: BuildError) -> None:
        """Replace the task's line by the error."""
        self._lines.pop(task.name, None)
        super().failed(task, error)

    def complete_run(self) -> None:
        """Give the terminal back, then the table."""
        self._lines.clear()
        if self._shown:
            self._live.update("", refresh=True)
            self._live.stop()
            self._shown = False
        super().complete_run()
