"""The task graph in Graphviz' DOT language."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from doit.cmd_base import tasks_and_deps_iter
from doit.task import Task

from tasks.lib.engine.command import GraphCommand
from tasks.lib.engine.records import artifact_of

COLOURS = {"products": "#cfe8cf", "parts": "#d5e3f5", "sources": "#eeeeee", "tests": "#f7e6c4"}


class Plugin(GraphCommand):
    """Draw what depends on what."""

    doc_purpose = "draw the task graph, of all or of some tasks: ./doit graph iso | dot -Tsvg >graph.svg"
    doc_usage = "[TASK ...]"

    def work(self, options: dict[str, Any], names: list[str]) -> int:
        """Write the tasks that are named, or all, with what they need."""
        wanted = [self.find(name).name for name in names] or list(self.tasks)
        print("\n".join(to_dot(tasks_and_deps_iter(self.tasks, wanted))))
        return 0


def to_dot(tasks: Iterable[Task]) -> Iterator[str]:
    """The lines of a graph; an arrow leads from each task to those that need it."""
    yield 'digraph tasks {\n  rankdir=LR;\n  node [shape=box, style=filled, fontname="sans-serif"];'
    for task in tasks:
        yield f'  "{task.name}" [fillcolor="{COLOURS[artifact_of(task).group]}"];'
        yield from (f'  "{needed}" -> "{task.name}";' for needed in task.task_dep)
    yield "}"
