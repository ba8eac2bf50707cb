"""The description of a task, as all of the engine sees it, and how its paths and its recipe are named."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.lib.engine.build import Build
from tasks.lib.errors import BuildError
from tasks.lib.paths import TOP

Recipe = Callable[[Build], None]


@dataclass(frozen=True)
class Artifact:
    """A task as the engine sees it; paths are relative to the checkout where they lie inside it."""

    name: str
    build: Recipe
    targets: tuple[str, ...]
    inputs: tuple[str, ...]
    values: dict[str, Any]
    tools: tuple[str, ...]
    group: str


INSIDE = f"{TOP}{os.sep}"


@functools.lru_cache(None)
def relative(path: str | Path) -> str:
    """A path as records keep it: normalised, and relative to the checkout when it is inside."""
    return os.path.normpath(os.path.join(INSIDE, path)).removeprefix(INSIDE)


def definition_of(build: Callable[..., object]) -> tuple[str, str, str]:
    """Module, name and bound arguments (text) of a recipe.

    Raises BuildError for a recipe whose source alone does not say what it does.
    """
    bound = ""
    if isinstance(build, functools.partial):
        bound = repr((build.args, sorted(build.keywords.items()))).replace(INSIDE, "")
        build = build.func
    name = getattr(build, "__qualname__", "?")
    if "<" in name or "." in name or " at 0x" in bound:
        raise BuildError(f"recipe {name} is not a module-level function with plain arguments",
                         "use functools.partial instead of a closure")  # fmt: skip
    return build.__module__, name, bound
