"""All targets and commands, grouped, one line each."""

from __future__ import annotations

from typing import Any

from tasks.lib.engine.artifact import GROUPS
from tasks.lib.engine.command import GraphCommand, command, command_names, option
from tasks.lib.engine.records import artifact_of

MARKS = {"up-to-date": "ok", "run": "stale", "error": "error"}


class Plugin(GraphCommand):
    """What can be built and done."""

    doc_purpose = "show all targets and commands, one line each"
    doc_usage = "[TASK ...]"
    cmd_options = (
        option("status", False, "say which are up to date (reads changed files)", "s"),
        option("names", False, "names only, for completion"),
    )

    def work(self, options: dict[str, Any], names: list[str]) -> int:
        """Print them; commands only when no task is named."""
        tasks = [self.find(name) for name in names] or list(self.tasks.values())
        commands = [] if names else command_names()
        if options["names"]:
            print("\n".join([task.name for task in tasks] + commands))
            return 0
        width = max((len(name) for name in (*commands, *(task.name for task in tasks))), default=0) + 2
        blocks: dict[str, list[str]] = {group: [] for group in GROUPS}
        for task in tasks:
            mark = f"{MARKS[self.records.get_status(task).status]:<7}" if options["status"] else ""
            blocks[artifact_of(task).group].append(f"  {mark}{task.name:<{width}}{task.doc}")
        blocks["commands"] = [f"  {name:<{width}}{command(name).doc_purpose}" for name in commands]
        for title, lines in blocks.items():
            if lines:
                print("\n".join([title, *lines, ""]))
        return 0
