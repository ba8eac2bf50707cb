"""How far a running task is, and how long it will take."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from tasks.lib.text import size_text, whole_seconds

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
    said: float = 0

    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.started

    def update(self, message: dict[str, Any]) -> None:
        """Take over what the worker says."""
        if "progress" in message:
            self.done, self.total, self.unit = message["progress"]
        elif "note" in message:
            self.note = message["note"]

    def progress(self) -> str:
        """A bar and figures, or what is known instead."""
        if not self.total:
            return self.figures() or self.note
        bar = "━" * round(min(1.0, self.done / self.total) * BAR_WIDTH)
        return f"{bar:<{BAR_WIDTH}} {self.figures()}"

    def figures(self) -> str:
        """Per cent and amounts, "" when the recipe gives none."""
        if not self.total:
            return amount(self.done, self.unit) if self.done else ""
        share = min(1.0, self.done / self.total)
        return f"{share:4.0%}  {amount(self.done, self.unit)} of {amount(self.total, self.unit)}"

    def remaining(self) -> str:
        """Time left, from the progress, else from how long the task took before."""
        elapsed = self.elapsed()
        if self.total and self.done > 0 and elapsed > 1:
            left = elapsed * (self.total - self.done) / self.done
        elif self.expected and not self.total:
            left = self.expected - elapsed
        else:
            return ""
        return f"{whole_seconds(left)} left" if left > 0 else ""


def amount(value: float, unit: str) -> str:
    """A number of bytes or of anything else."""
    return size_text(value) if unit == "B" else f"{value:g} {unit}".rstrip()
