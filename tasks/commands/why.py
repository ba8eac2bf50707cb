"""Why a task is stale: which input, value, tool, code or target differs, old and new."""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import fill

from doit.control import TaskControl
from doit.task import Task

from tasks.lib.engine.command import GraphCommand
from tasks.lib.engine.records import Change, Status, artifact_of
from tasks.lib.engine.spec import Artifact
from tasks.lib.engine.text import digest_text
from tasks.lib.errors import BuildError

MAX_LINES = 20
WIDTH = 110


class Plugin(GraphCommand):
    """Explain staleness."""

    name = "why"
    doc_purpose = "say which input made a task stale, old and new value"
    doc_usage = "TASK ..."

    def _execute(self, pos_args: list[str]) -> int:  # type: ignore[override]
        if not pos_args:
            raise BuildError("why needs a task", "./doit list shows all")
        tasks = TaskControl(self.task_list).tasks
        seen: set[str] = set()
        self._never: list[str] = []
        for name in pos_args:
            if not self._explain(self.find(name), tasks, seen):
                print(f"{name}: up to date")
        if self._never:
            print(fill(f"never made in this checkout: {', '.join(self._never)}", WIDTH))
        return 0

    def _explain(self, task: Task, tasks: dict[str, Task], seen: set[str]) -> bool:
        """Print the reasons of a task, then those of the tasks it needs; returns whether it is stale."""
        if task.name in seen:
            return False
        seen.add(task.name)
        lines = list(self._reasons(task, tasks))
        if lines and self.dep_manager.never_made(task.name):
            self._never.append(task.name)
        elif lines:
            print("\n".join([f"{task.name}: stale", *lines]))
        stale = [name for name in task.task_dep if self._explain(tasks[name], tasks, seen)]
        if stale and not lines:
            print(f"{task.name}: depends on what {', '.join(stale)} will make")
        return bool(lines or stale)

    def _reasons(self, task: Task, tasks: dict[str, Task]) -> Iterator[str]:
        spec = artifact_of(task)
        if spec is None:
            return
        status = self.dep_manager.get_status(task, tasks)
        if status.status == "error":
            made = {target for other in tasks.values() for target in other.targets}
            missing = [
                path for path in spec.inputs if path not in made and self.dep_manager.digests.of(path) is None
            ]
            yield f"  {status.get_error_message()}" if missing else "  an input is not built yet"
            return
        assert isinstance(status, Status)
        for change in status.changes:
            yield from self._lines(spec, change)

    def _lines(self, spec: Artifact, change: Change) -> Iterator[str]:
        """One change; for a folder, which of its members."""
        yield f"  {change}"
        members = self.dep_manager.member_changes(spec, change.subject) if change.kind == "input" else []
        if members:
            for member in members[:MAX_LINES]:
                yield f"    {member.subject}: {digest_text(member.old)} -> {digest_text(member.new)}"
            if len(members) > MAX_LINES:
                yield f"    and {len(members) - MAX_LINES} more"
        elif change.kind != "record":
            yield f"    {digest_text(change.old)} -> {digest_text(change.new)}"
