"""The signed manifest of an update (docs/update-server.md), which a node reads before it takes anything."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from agent.update import manifest
from agent.update.errors import UpdateError
from agent.update.version import Version
from tasks.lib.config import Update
from tasks.lib.errors import BuildError
from tasks.lib.release.manifest import ID, digest

SCHEMA = 1
BOARD = "generic"
INDEX = "chunks"


@dataclass(frozen=True)
class Release:
    """What a manifest is about. epoch: seconds since 1970."""

    version: str
    architecture: str
    epoch: int
    update: Update


def check(update: Update, version: str) -> None:
    """Raises BuildError when no node could take this version."""
    for name in ("min_compatible_version", "floor"):
        value = getattr(update, name)
        if Version(value) > Version(version):
            what = f"versions.toml: update.{name}: is {value}, above os.version, {version}"
            raise BuildError(what, "name this version or one before it")


def proved(text: str) -> str:
    """The text of a manifest, which nodes can read; raises BuildError when they would refuse it."""
    try:
        manifest.parse(text.encode())
    except UpdateError as error:
        raise BuildError(
            f"nodes would refuse this update: {error}", "look at [update] in versions.toml"
        ) from error
    return text


def row(path: str, file: Path) -> dict[str, Any]:
    """Where a file of the bundle will lie, and what it is."""
    return {"path": path, "size": file.stat().st_size, "sha256": digest(file)}


def text(release: Release, files: Mapping[str, tuple[Path, Path]]) -> str:
    """The manifest. files: by name, where the file and the index of its chunks lie now.

    Raises BuildError when nodes would refuse it.
    """
    check(release.update, release.version)
    update, released = release.update, datetime.fromtimestamp(release.epoch, UTC)
    places = {name: f"{release.version}/{name}" for name in files}
    document = {
        "schema": SCHEMA,
        "name": ID,
        "version": release.version,
        "channel": update.channel,
        "architecture": release.architecture,
        "board": BOARD,
        "released": stamp(released),
        "expires": stamp(released + timedelta(days=update.valid_days)),
        "min_compatible_version": update.min_compatible_version,
        "floor": update.floor,
        "notes": update.notes,
        "keys": list(update.keys),
        "files": {
            name: {**row(places[name], file), INDEX: row(f"{places[name]}.{INDEX}", chunks)}
            for name, (file, chunks) in files.items()
        },
    }
    return proved(json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def stamp(moment: datetime) -> str:
    """A moment as RFC 3339 writes it, in UTC and whole seconds."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
