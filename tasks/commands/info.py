"""Everything about one task."""

from __future__ import annotations

import json

from tasks.lib.engine.command import GraphCommand
from tasks.lib.engine.records import artifact_of
from tasks.lib.engine.spec import definition_of
from tasks.lib.engine.text import digest_text, seconds_text
from tasks.lib.errors import BuildError

MAX_VALUE = 100


class Plugin(GraphCommand):
    """What a task makes, from what, and how it stands."""

    name = "info"
    doc_purpose = "show a task's inputs, values, targets and state"
    doc_usage = "TASK"

    def _execute(self, pos_args: list[str]) -> int:  # type: ignore[override]
        if len(pos_args) != 1:
            raise BuildError("info needs one task", "./doit list shows all")
        graph = self.graph()
        task = self.find(pos_args[0])
        print(f"{task.name}: {task.doc}")
        _print("needs", task.task_dep)
        spec = artifact_of(task)
        if spec is None:
            return 0
        module, recipe, _ = definition_of(spec.build)
        status = self.dep_manager.get_status(task, graph)
        print(f"state: {'stale' if status.status == 'run' else status.status}"
              + (f" ({status.get_error_message()})" if status.status == "error" else ""))  # fmt: skip
        print(f"recipe: {module}.{recipe}")
        if (seconds := self.dep_manager.seconds(task.name)) is not None:
            print(f"last took: {seconds_text(seconds)}")
        digests = self.dep_manager.digests
        _print("targets", [f"{path}: {digest_text(digests.of(path))}" for path in spec.targets])
        _print("inputs", [f"{path}: {digest_text(digests.of(path))}" for path in spec.inputs])
        _print("values", [f"{key} = {_short(value)}" for key, value in sorted(spec.values.items())])
        _print("tools", list(spec.tools))
        return 0


def _print(title: str, lines: list[str]) -> None:
    if lines:
        print("\n".join([f"{title}:", *(f"  {line}" for line in lines)]))


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= MAX_VALUE else f"{text[: MAX_VALUE - 3]}..."
