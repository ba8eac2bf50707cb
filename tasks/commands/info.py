"""Everything about one task."""

from __future__ import annotations

import json
from typing import Any

from tasks.lib.engine.command import GraphCommand
from tasks.lib.engine.digests import digest_text
from tasks.lib.engine.records import artifact_of
from tasks.lib.engine.spec import Artifact, definition_of
from tasks.lib.errors import BuildError
from tasks.lib.text import seconds_text

MAX_VALUE = 100


class Plugin(GraphCommand):
    """What a task makes, from what, and how it stands."""

    doc_purpose = "show a task's inputs, values, targets and state"
    doc_usage = "TASK"

    def work(self, options: dict[str, Any], names: list[str]) -> int:
        """Print it."""
        if len(names) != 1:
            raise BuildError("info needs one task", "./doit list shows all")
        task = self.find(names[0])
        spec = artifact_of(task)
        print(f"{task.name}: {task.doc}")
        _print("needs", task.task_dep)
        print(f"state: {self._state(spec)}")
        module, recipe, _ = definition_of(spec.build)
        print(f"recipe: {module}.{recipe}")
        if (seconds := self.records.seconds(task.name)) is not None:
            print(f"last took: {seconds_text(seconds)}")
        digests = self.records.digests
        _print("targets", [f"{path}: {digest_text(digests.of(path))}" for path in spec.targets])
        _print("inputs", [f"{path}: {digest_text(digests.of(path))}" for path in spec.inputs])
        _print("values", [f"{key} = {_short(value)}" for key, value in sorted(spec.values.items())])
        _print("tools", list(spec.tools))
        return 0

    def _state(self, spec: Artifact) -> str:
        try:
            return "stale" if self.records.look(spec) else "up-to-date"
        except BuildError as error:
            return f"error ({error})"


def _print(title: str, lines: list[str]) -> None:
    if lines:
        print("\n".join([f"{title}:", *(f"  {line}" for line in lines)]))


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= MAX_VALUE else f"{text[: MAX_VALUE - 3]}..."
