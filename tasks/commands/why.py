"""Why a task is stale: which input, value, tool, code or target differs, old and new."""

from __future__ import annotations

import os
from collections.abc import Iterator
from textwrap import fill
from typing import Any

from doit.task import Task

from tasks.lib.engine.command import GraphCommand
from tasks.lib.engine.digests import digest_text
from tasks.lib.engine.records import Change, artifact_of
from tasks.lib.engine.spec import Artifact
from tasks.lib.errors import BuildError

MAX_LINES = 20
WIDTH = 110


class Plugin(GraphCommand):
    """Explain staleness."""

    doc_purpose = "say which input made a task stale, old and new value"
    doc_usage = "TASK ..."

    def work(self, options: dict[str, Any], names: list[str]) -> int:
        """Print the reasons of the tasks that are named and of those that they need."""
        if not names:
            raise BuildError("why needs a task", "./doit list shows all")
        self._seen: set[str] = set()
        self._never: list[str] = []
        for name in names:
            if not self._explain(self.find(name)):
                print(f"{name}: up to date")
        if self._never:
            print(fill(f"never made in this checkout: {', '.join(self._never)}", WIDTH))
        return 0

    def _explain(self, task: Task) -> bool:
        """Print the reasons of a task, then those of the tasks it needs; returns whether it is stale."""
        if task.name in self._seen:
            return False
        self._seen.add(task.name)
        lines = list(self._reasons(artifact_of(task)))
        if lines and self.records.never_made(task.name):
            self._never.append(task.name)
        elif lines:
            print("\n".join([f"{task.name}: stale", *lines]))
        stale = [name for name in task.task_dep if self._explain(self.tasks[name])]
        if stale and not lines:
            print(f"{task.name}: depends on what {', '.join(stale)} will make")
        return bool(lines or stale)

    def _reasons(self, spec: Artifact) -> Iterator[str]:
        try:
            for change in self.records.look(spec):
                yield from self._lines(spec, change)
        except BuildError as error:
            missing = [path for path in spec.inputs if not os.path.lexists(path)]
            made = all(path in self.control.targets for path in missing)
            yield "  an input is not built yet" if missing and made else f"  {error}"

    def _lines(self, spec: Artifact, change: Change) -> Iterator[str]:
        """One change; for a folder, which of its members."""
        yield f"  {change}"
        members = self.records.member_changes(spec, change.subject) if change.kind == "input" else []
        if members:
            for member in members[:MAX_LINES]:
                yield f"    {member.subject}: {digest_text(member.old)} -> {digest_text(member.new)}"
            if len(members) > MAX_LINES:
                yield f"    and {len(members) - MAX_LINES} more"
        elif change.kind != "record":
            yield f"    {digest_text(change.old)} -> {digest_text(change.new)}"
