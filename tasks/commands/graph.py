"""The task graph as DOT or SVG."""

from __future__ import annotations

import sys

from doit.cmd_base import tasks_and_deps_iter

from tasks.lib.engine.command import GraphCommand
from tasks.lib.engine.drawing import to_dot, to_svg
from tasks.lib.engine.records import artifact_of

OPTIONS = (
    {"name": "svg", "long": "svg", "type": bool, "default": False, "help": "write SVG instead of DOT"},
    {"name": "output", "short": "o", "long": "output", "type": str, "default": "",
     "help": "file to write [default: standard output]; a name in .svg means --svg"},
)  # fmt: skip


class Plugin(GraphCommand):
    """Draw what depends on what."""

    name = "graph"
    doc_purpose = "draw the task graph, of all or of some tasks (DOT or SVG)"
    doc_usage = "[TASK ...]"
    cmd_options = OPTIONS

    def _execute(self, svg: bool, output: str, pos_args: list[str]) -> int:  # type: ignore[override]
        tasks = self.graph()
        wanted = [self.find(name).name for name in pos_args] or list(tasks)
        chosen = {task.name: task for task in tasks_and_deps_iter(tasks, wanted)}
        edges = {name: [dep for dep in task.task_dep if dep in chosen] for name, task in chosen.items()}
        groups = {name: spec.group if (spec := artifact_of(task)) else "" for name, task in chosen.items()}
        text = to_svg(edges, groups) if svg or output.endswith(".svg") else to_dot(edges, groups)
        if output:
            self.user_path(output).write_text(text)
        else:
            sys.stdout.write(text)
        return 0
