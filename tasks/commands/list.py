"""All targets and commands, grouped, one line each."""

from __future__ import annotations

from collections.abc import Iterable

from doit.task import Task

from tasks.lib.engine.artifact import GROUPS
from tasks.lib.engine.command import GraphCommand
from tasks.lib.engine.records import artifact_of

MARKS = {"up-to-date": "ok", "run": "stale", "error": "error"}


class Plugin(GraphCommand):
    """What can be built and done."""

    name = "list"
    doc_purpose = "show all targets and commands, one line each"
    doc_usage = "[TASK ...]"
    cmd_options = (
        {"name": "status", "short": "s", "long": "status", "type": bool, "default": False,
         "help": "say which are up to date (reads changed files)"},
        {"name": "names", "long": "names", "type": bool, "default": False,
         "help": "names only, for completion"},
    )  # fmt: skip

    def _execute(  # type: ignore[override]
        self, status: bool, names: bool, pos_args: list[str]
    ) -> int:
        tasks = [self.find(name) for name in pos_args] or self.task_list
        tasks = [task for task in tasks if not task.name.startswith("_")]
        commands = [] if pos_args else self.loader.cmd_names
        if names:
            print("\n".join([task.name for task in tasks] + commands))
            return 0
        width = max((len(name) for name in (*commands, *(task.name for task in tasks))), default=0) + 2
        graph = self.graph()
        for group in GROUPS:
            members = [task for task in tasks if _group(task) == group]
            lines = [f"  {self._mark(task, graph, status)}{task.name:<{width}}{task.doc}" for task in members]
            _print_group(group, lines)
        _print_group("commands", [f"  {name:<{width}}{self._purpose(name)}" for name in commands])
        return 0

    def _mark(self, task: Task, graph: dict[str, Task], wanted: bool) -> str:
        if not wanted:
            return ""
        return f"{MARKS[self.dep_manager.get_status(task, graph).status]:<7}"

    def _purpose(self, name: str) -> str:
        return str(self._commands.get_plugin(name).doc_purpose)


def _group(task: Task) -> str:
    spec = artifact_of(task)
    return spec.group if spec else "products"


def _print_group(title: str, lines: Iterable[str]) -> None:
    if lines := list(lines):
        print("\n".join([title, *lines, ""]))
