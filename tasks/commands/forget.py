"""Forget that tasks succeeded, so that the next run makes them again."""

from __future__ import annotations

from tasks.lib.engine.checkout_lock import checkout_lock
from tasks.lib.engine.command import GraphCommand
from tasks.lib.paths import BUILD


class Plugin(GraphCommand):
    """Drop records."""

    name = "forget"
    doc_purpose = "drop the records of tasks, so that they run again"
    doc_usage = "[TASK ...]"

    def _execute(self, pos_args: list[str]) -> int:  # type: ignore[override]
        tasks = [self.find(name) for name in pos_args] or self.task_list
        with checkout_lock(BUILD / ".lock"):
            for task in tasks:
                self.dep_manager.remove_success(task)
        return 0
