"""What a run shows on a terminal: one line for each running task, with progress and time."""

from __future__ import annotations

import time
from typing import IO, Any

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from tasks.lib.engine.reporter import NORMAL, Reporter, is_warning
from tasks.lib.text import whole_seconds

REDRAW_S = 0.1


class LiveReporter(Reporter):
    """Lines for finished tasks scroll by; those of running tasks stay at the bottom."""

    def __init__(self, out: IO[str], level: int = NORMAL) -> None:
        super().__init__(out, level)
        self._console = Console(file=out, highlight=False)
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._drawn = 0.0

    def write(self, text: str) -> None:
        """Print above the live lines."""
        self._console.print(text, markup=False, soft_wrap=True)

    def announce(self, name: str, reason: str) -> None:
        """Show the reason in the task's own line."""
        self.lines[name].note = reason
        self._live.start()

    def message(self, name: str, message: dict[str, Any]) -> None:
        """Take over progress and notes; only warnings stay."""
        self.lines[name].update(message)
        if is_warning(message.get("note", "")):
            self.write(f"{name}: {message['note']}")

    def refresh(self) -> None:
        """Draw the lines of running tasks."""
        if not self._live.is_started or time.monotonic() < self._drawn + REDRAW_S:
            return
        self._drawn = time.monotonic()
        table = Table.grid(padding=(0, 2))
        for _ in range(4):
            table.add_column(no_wrap=True, overflow="ellipsis")
        for name, line in self.lines.items():
            texts = (line.progress(), whole_seconds(line.elapsed()), line.remaining())
            table.add_row(Text(name, style="bold"), *map(Text, texts))
        self._live.update(table, refresh=True)

    def complete_run(self) -> None:
        """Give the terminal back, then the table."""
        if self._live.is_started:
            self._live.update("", refresh=True)
            self._live.stop()
        super().complete_run()
