"""Forget that tasks succeeded, so that the next run makes them again."""

from __future__ import annotations

from typing import Any

from tasks.lib.engine.checkout_lock import checkout_lock
from tasks.lib.engine.command import GraphCommand
from tasks.lib.paths import BUILD


class Plugin(GraphCommand):
    """Drop records."""

    doc_purpose = "drop the records of tasks, so that they run again"
    doc_usage = "[TASK ...]"

    def work(self, options: dict[str, Any], names: list[str]) -> int:
        """Drop the records of the tasks that are named, or of all."""
        tasks = [self.find(name) for name in names] or self.tasks.values()
        with checkout_lock(BUILD / ".lock"):
            for task in tasks:
                self.records.remove_success(task)
        return 0
