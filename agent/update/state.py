"""How far an update has come: /mnt/data/update/state.json, which is whole at every moment.

Phases: idle, checking, downloading, staged (the other slot holds it), activated (it starts next), verifying
(it runs on trial), success, rolled_back, failed. docs/update-flow.md draws them.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from agent.durable import replace_file

PLACE = "mnt/data/update/state.json"
PHASES = (
    "idle", "checking", "downloading", "staged", "activated", "verifying", "success", "rolled_back", "failed",
)  # fmt: skip
# Only an updater that runs, or a trial, may say these: found at rest, they are settled.
UNSETTLED = ("checking", "downloading", "activated", "verifying")
MOST_HISTORY = 20
MOST_REFUSED = 50
LARGEST = 1 << 20


@dataclass
class State:
    """The record of updates; times in seconds since 1970, sizes in bytes, versions as texts.

    frm, to: what the last update goes from and to. slot: where it lies. done, total: of its download.
    refused: versions that are not tried again, with the reason. newest: when the newest manifest that
    was ever accepted of a channel was released. floor: below this version the node never goes again.
    """

    phase: str = "idle"
    frm: str = ""
    to: str = ""
    slot: str = ""
    attempts: int = 0
    error: str = ""
    started: int = 0
    updated: int = 0
    health_failures: int = 0
    done: int = 0
    total: int = 0
    available: str = ""
    floor: str = ""
    refused: dict[str, str] = field(default_factory=dict)
    newest: dict[str, int] = field(default_factory=dict)
    history: list[dict[str, object]] = field(default_factory=list)
    last_log: list[str] = field(default_factory=list)

    def note(self, event: str, reason: str = "") -> None:
        """Add to the history."""
        row: dict[str, object] = {"time": int(time.time()), "event": event, "from": self.frm, "to": self.to}
        if reason:
            row["reason"] = reason
        self.history = [*self.history, row][-MOST_HISTORY:]

    def refuse(self, version: str, reason: str) -> None:
        """Do not try a version again."""
        self.refused.pop(version, None)
        self.refused[version] = reason
        while len(self.refused) > MOST_REFUSED:
            del self.refused[next(iter(self.refused))]


def load(root: Path, place: str = "") -> State:
    """The record, or that of another place; an empty one when there is none, or when it is damaged."""
    try:
        with (Path(place) if place else root / PLACE).open("rb") as stream:
            values = json.loads(stream.read(LARGEST))
        return of(values)
    except FileNotFoundError:
        return State()
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return State(phase="failed", error="the record of updates was damaged and has been made anew")


def of(values: dict[str, object]) -> State:
    """From JSON; what is not known is left out, what is of another type raises TypeError."""
    if not isinstance(values, dict):
        raise TypeError(type(values).__name__)
    state = State()
    for known in fields(State):
        name = "from" if known.name == "frm" else known.name
        if name not in values:
            continue
        value, usual = values[name], getattr(state, known.name)
        if type(value) is not type(usual):
            raise TypeError(name)
        setattr(state, known.name, value)
    if state.phase not in PHASES:
        raise ValueError(state.phase)
    return state


def as_json(state: State) -> dict[str, object]:
    """Its values under their names in the file."""
    values = asdict(state)
    return {("from" if name == "frm" else name): value for name, value in values.items()}


def save(root: Path, state: State, place: str = "") -> None:
    """Write the record, on the disk when this returns; raises OSError."""
    state.updated = int(time.time())
    path = Path(place) if place else root / PLACE
    os.makedirs(path.parent, exist_ok=True)
    replace_file(str(path), (json.dumps(as_json(state), indent=1) + "\n").encode(), 0o600)
