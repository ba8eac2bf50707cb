"""Is a task up to date, and if not, why: the state of its inputs against the record of its last success."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from doit.dependency import Dependency, DependencyStatus
from doit.task import Task

from tasks.lib.engine.checker import DigestChecker
from tasks.lib.engine.database import Database
from tasks.lib.engine.digests import Digests
from tasks.lib.engine.recipes import Recipes
from tasks.lib.engine.spec import Artifact
from tasks.lib.errors import BuildError

MAX_MEMBERS = 3000
State = dict[str, Any]


@dataclass(frozen=True)
class Change:
    """One reason why a task is stale: kind (input, value, tools, recipe, target, record), what, old, new."""

    kind: str
    subject: str
    old: str | None
    new: str | None

    def __str__(self) -> str:
        if self.kind == "record":
            return self.subject
        verb = "is new" if self.old is None else "is gone" if self.new is None else "changed"
        return f"{self.kind} {self.subject} {verb}"


class Status(DependencyStatus):
    """doit's status with the reasons in full."""

    def __init__(self) -> None:
        super().__init__(get_log=True)
        self.changes: list[Change] = []


class Records(Dependency):
    """The task database of one checkout; doit calls this its dependency manager."""

    def __init__(self, path: Path, top: Path) -> None:
        super().__init__(Database, str(path), checker_cls=DigestChecker)
        self.database: Database = self.backend
        self._known_files = self.database.files()
        self.digests: Digests = self.checker.digests
        self.digests.known = self._known_files
        self._top = top
        self._recipes: Recipes | None = None
        self._tools: dict[str, str] = {}
        self._snapshots: dict[str, State] = {}
        self._inputs: dict[str, str | None] = {}
        self.reasons: dict[str, list[Change]] = {}

    def close(self) -> None:
        """Keep what was learned about files, commit and close; a second call does nothing."""
        if not self._closed:
            self._closed = True
            self.commit()
            self.database.dump()

    def commit(self) -> None:
        """Write records and file digests to the disk."""
        self.database.save_files(self._known_files, self.digests.fresh)
        if self.digests.fresh:
            self._known_files.update(self.digests.fresh)
            self.digests.fresh.clear()
        self.database.commit()

    def get_status(self, task: Task, tasks_dict: dict[str, Task], get_log: bool = False) -> DependencyStatus:
        """Status of a task: "up-to-date", "run" or "error" (a missing or unreadable input)."""
        spec = artifact_of(task)
        if spec is None:
            return super().get_status(task, tasks_dict, get_log)
        status = Status()
        try:
            now = self.state(spec)
            missing = [path for path, digest in now["inputs"].items() if digest is None]
            if missing:
                raise BuildError(f"input {', '.join(missing)} does not exist")
            status.changes = list(self.changes(spec, now))
        except BuildError as error:
            status.status = "error"
            status.error_reason = str(error)
            return status
        self._snapshots[spec.name] = now
        self.reasons[spec.name] = status.changes
        status.status = "run" if status.changes else "up-to-date"
        return status

    def state(self, spec: Artifact) -> State:
        """What the task's result depends on, as it is now."""
        return {
            "inputs": {path: self._input_digest(path) for path in spec.inputs},
            "values": spec.values,
            "tools": {name: self._tool_digest(name) for name in spec.tools},
            "recipe": self.recipe(spec),
        }

    def recipe(self, spec: Artifact) -> dict[str, str]:
        """The task's code: what it reaches -> digest."""
        if self._recipes is None:
            self._recipes = Recipes(self._top, self.digests, self.database)
        return self._recipes.parts(spec.build)

    def _input_digest(self, path: str) -> str | None:
        """Looked up once for all tasks that read it, until look_again()."""
        if path not in self._inputs:
            self._inputs[path] = self.digests.of(path)
        return self._inputs[path]

    def look_again(self) -> None:
        """Time has passed or a task has made files: what is known of inputs no longer counts."""
        self._inputs.clear()

    def _tool_digest(self, name: str) -> str:
        if name not in self._tools:
            self._tools[name] = importlib.import_module("tasks.lib.debian.tools").digest(name)
        return self._tools[name]

    def changes(self, spec: Artifact, now: State) -> Iterator[Change]:
        """Every difference between the record and `now`."""
        old: State | None = self._get(spec.name, "state")
        if old is None:
            begun = self.database.fact(f"begun:{spec.name}") is not None
            why = "its last run failed or was interrupted" if begun else "never made in this checkout"
            yield Change("record", why, None, None)
            return
        yield from _differences("input", old["inputs"], now["inputs"])
        yield from _differences("value", flatten(old["values"]), flatten(now["values"]))
        yield from _differences("tools", old["tools"], now["tools"])
        yield from _differences("recipe", old["recipe"], now["recipe"])
        made: dict[str, str] = self._get(spec.name, "targets")
        yield from _differences("target", made, {path: self.digests.of(path) for path in spec.targets})

    def changed_while_running(self, spec: Artifact) -> list[str]:
        """Inputs that are no longer what they were when the task was started."""
        before: dict[str, str] = self._snapshots[spec.name]["inputs"]
        return [path for path, digest in before.items() if self.digests.of(path) != digest]

    def remove_success(self, task: Task) -> None:
        """Forget a task and commit, so that an interruption from now on can not leave a stale record."""
        self.remove(task.name)
        self.database.save_fact(f"begun:{task.name}", "")
        self.commit()

    def save_artifact(self, spec: Artifact, targets: dict[str, str], seconds: float) -> None:
        """Record a success with the state that the task was started in, and commit."""
        state = self._snapshots[spec.name]
        members = {
            path: found
            for path, digest in state["inputs"].items()
            if digest.startswith("tree:") and len(found := self.digests.members(path)) <= MAX_MEMBERS
        }
        for key, value in (("state", state), ("targets", targets), ("members", members)):
            self._set(spec.name, key, value)
        # Beside the record, as what becomes stale loses that.
        self.database.save_fact(f"seconds:{spec.name}", f"{seconds:.2f}")
        self.commit()

    def never_made(self, name: str) -> bool:
        """Whether nobody has ever begun to make it here."""
        return self._get(name, "state") is None and self.database.fact(f"begun:{name}") is None

    def seconds(self, name: str) -> float | None:
        """How long the task took when it last succeeded; kept when the record is removed."""
        held = self.database.fact(f"seconds:{name}")
        return float(held) if held else None

    def member_changes(self, spec: Artifact, path: str) -> list[Change]:
        """Which members of an input folder differ from the record."""
        held: dict[str, dict[str, str]] = self._get(spec.name, "members") or {}
        if path not in held or not Path(path).is_dir():
            return []
        now: dict[str, str | None] = dict(self.digests.members(path))
        return list(_differences("input", {f"{path}/{name}": digest for name, digest in held[path].items()},
                                 {f"{path}/{name}": digest for name, digest in now.items()}))  # fmt: skip


def artifact_of(task: Task) -> Artifact | None:
    """The description behind a doit task, None for a plain doit task."""
    found = (task.meta or {}).get("artifact")
    return found if isinstance(found, Artifact) else None


def flatten(value: Any, prefix: str = "") -> dict[str, str]:
    """Nested values as dotted key -> JSON text; list items that have a name are keyed by it."""
    if isinstance(value, dict) and value:
        pairs = [(str(key), item) for key, item in value.items()]
    elif (
        isinstance(value, list) and value and all(isinstance(item, dict) and "name" in item for item in value)
    ):
        pairs = [(str(item["name"]), item) for item in value]
    else:
        return {prefix: json.dumps(value)}
    flat: dict[str, str] = {}
    for key, item in pairs:
        flat.update(flatten(item, f"{prefix}.{key}" if prefix else key))
    return flat


def _differences(
    kind: str, old: dict[str, str], new: dict[str, str | None] | dict[str, str]
) -> Iterator[Change]:
    for subject in sorted({*old, *new}):
        before, after = old.get(subject), new.get(subject)
        if before != after:
            yield Change(kind, subject, before, after)
