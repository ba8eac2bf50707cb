"""Is a task up to date, and if not, why: the state of its inputs against the record of its last success."""

from __future__ import annotations

import functools
import importlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from doit.dependency import Dependency, DependencyStatus
from doit.task import Task

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


class Records(Dependency):
    """The task database of one checkout; doit calls this its dependency manager."""

    def __init__(self, path: Path, top: Path) -> None:
        super().__init__(Database, str(path))
        self.database: Database = self.backend
        self.digests = Digests(known=self.database.files())
        self._top = top
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
        self.database.save_files(self.digests.known, self.digests.fresh)
        self.digests.known.update(self.digests.fresh)
        self.digests.fresh.clear()
        self.database.commit()

    def get_status(self, task: Task, tasks_dict: Any = None, get_log: bool = False) -> DependencyStatus:
        """Status of a task: "up-to-date", "run" or "error" (a missing or unreadable input)."""
        status = DependencyStatus(get_log)
        try:
            status.status = "run" if self.look(artifact_of(task)) else "up-to-date"
        except BuildError as error:
            status.status, status.error_reason = "error", str(error)
        return status

    def look(self, spec: Artifact) -> list[Change]:
        """Why a task is stale; nothing when it is up to date.

        Raises BuildError for an input that is missing or can not be read.
        """
        now = self.state(spec)
        missing = [path for path, digest in now["inputs"].items() if digest is None]
        if missing:
            raise BuildError(f"input {', '.join(missing)} does not exist")
        self._snapshots[spec.name] = now
        self.reasons[spec.name] = list(self.changes(spec, now))
        return self.reasons[spec.name]

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
        return self._recipes.parts(spec.build)

    @functools.cached_property
    def _recipes(self) -> Recipes:
        return Recipes(self._top, self.digests, self.database)

    def _input_digest(self, path: str) -> str | None:
        """Looked up once for all tasks that read it, until look_again()."""
        if path not in self._inputs:
            self._inputs[path] = self.digests.of(path)
        return self._inputs[path]

    def look_again(self) -> None:
        """Time has passed, or a task has made files or replaced packages: what is known no longer counts."""
        self._inputs.clear()
        self._tools.clear()

    def _tool_digest(self, name: str) -> str:
        if name not in self._tools:
            self._tools[name] = importlib.import_module("tasks.lib.debian.tools").digest(name)
        return self._tools[name]

    def changes(self, spec: Artifact, now: State) -> Iterator[Change]:
        """Every difference between the record and `now`."""
        old: State | None = self._get(spec.name, "state")
        if old is None:
            never = self.never_made(spec.name)
            why = "never made in this checkout" if never else "its last run failed or was interrupted"
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
        self.database.keep("facts", f"begun:{task.name}", "")
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
        self.database.keep("facts", f"seconds:{spec.name}", f"{seconds:.2f}")
        self.commit()

    def never_made(self, name: str) -> bool:
        """Whether nobody has ever begun to make it here."""
        return self._get(name, "state") is None and self.database.value("facts", f"begun:{name}") is None

    def seconds(self, name: str) -> float | None:
        """How long the task took when it last succeeded; kept when the record is removed."""
        held = self.database.value("facts", f"seconds:{name}")
        return float(held) if held else None

    def member_changes(self, spec: Artifact, path: str) -> list[Change]:
        """Which members of an input folder differ from the record."""
        held: dict[str, str] | None = (self._get(spec.name, "members") or {}).get(path)
        if held is None or not Path(path).is_dir():
            return []
        changes = _differences("input", held, self.digests.members(path))
        return [replace(change, subject=f"{path}/{change.subject}") for change in changes]


def artifact_of(task: Task) -> Artifact:
    """The description behind a doit task."""
    found: Artifact = task.meta["artifact"]
    return found


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


def _differences(kind: str, old: Mapping[str, str], new: Mapping[str, str | None]) -> Iterator[Change]:
    for subject in sorted({*old, *new}):
        before, after = old.get(subject), new.get(subject)
        if before != after:
            yield Change(kind, subject, before, after)
