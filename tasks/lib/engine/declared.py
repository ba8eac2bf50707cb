"""Catches a recipe that reads what it does not declare: such an input could change without a rebuild."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tasks.lib.engine.artifact import Artifact
from tasks.lib.errors import BuildError
from tasks.lib.paths import TOP

# Recipes may look into these when the task declares what it uses of them as values or tools; the last two
# hold what tasks.lib.debian.drift replaced.
VERSIONS = ("versions.toml", "versions.lock", "build/drift", "output/drift")
EVENTS = ("open", "os.listdir", "os.scandir")

_allowed: list[tuple[str, tuple[str, ...]]] = []
_installed: list[bool] = []


@contextmanager
def only_declared(spec: Artifact, outs: list[Path], scratch: Path) -> Iterator[None]:
    """Within this block, opening a file of the checkout that is not declared raises BuildError.

    Only what this process opens is seen (audit hooks, PEP 578), not what its subprocesses read.
    """
    places = [os.path.join(TOP, path) for path in spec.inputs]
    places += [str(path) for path in (*outs, scratch)]
    places += [os.path.join(TOP, folder) for folder in ("dodo.py", "pyproject.toml")]
    places += [sys.prefix, os.path.realpath(sys.prefix)]
    if spec.values or spec.tools:
        places += [os.path.join(TOP, name) for name in VERSIONS]
    if not _installed:
        sys.addaudithook(_check)
        _installed.append(True)
    _allowed.append((spec.name, tuple(places)))
    try:
        yield
    finally:
        _allowed.clear()


def _check(event: str, arguments: tuple[Any, ...]) -> None:
    """The audit hook; a hook can not be removed, so it does nothing outside of a recipe."""
    if event not in EVENTS or not _allowed:
        return
    path = arguments[0]
    if not isinstance(path, str | bytes) or not path:
        return
    full = os.path.normpath(os.path.join(os.getcwd(), os.fsdecode(path)))
    if not full.startswith(f"{TOP}{os.sep}"):
        return
    name, places = _allowed[0]
    if any(full == place or full.startswith(place + os.sep) for place in places) or _is_code(event, full):
        return
    verb = "opened" if event == "open" else "listed"
    raise BuildError(
        f"task {name} {verb} {os.path.relpath(full, TOP)}, which is not among its inputs",
        "name it in files=, trees= or targets=, or write to b.scratch",
    )


def _is_code(event: str, full: str) -> bool:
    """Whether this is Python importing a module of the builder; its source is part of the recipe."""
    if not full.startswith(os.path.join(TOP, "tasks")):
        return False
    return event != "open" or full.endswith((".py", ".pyc")) or f"{os.sep}__pycache__{os.sep}" in full
