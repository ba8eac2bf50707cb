"""A task, declared: what it makes, from what, and with which recipe."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tasks.lib.engine.spec import Artifact, Recipe, definition_of, relative
from tasks.lib.errors import BuildError

GROUPS = ("products", "parts", "sources", "tests", "conformance")


def artifact(
    name: str,
    *,
    doc: str,
    build: Recipe,
    targets: Iterable[str | Path],
    files: Iterable[str | Path] = (),
    trees: Iterable[str | Path] = (),
    values: Mapping[str, Any] | None = None,
    tools: Iterable[str] = (),
    group: str = "parts",
) -> dict[str, object]:
    """Describe one task as doit wants it.

    build: module-level function (or functools.partial of one) that writes `b.outs`.
    files, trees: input files and folders; the target of another task makes that task run first.
    values: parameters that the recipe uses, keys of versions.toml or lock entries: JSON values.
    tools: names of tool sets (tasks.lib.debian.tools).
    group: heading in `./doit list`, one of GROUPS.

    Raises BuildError when values are not JSON, the group is unknown, no target is given or the recipe is a
    closure.
    """
    spec = Artifact(
        name=name,
        build=build,
        targets=tuple(relative(target) for target in targets),
        inputs=tuple(sorted({relative(path) for path in (*files, *trees)})),
        values=_plain(name, values or {}),
        tools=tuple(tools),
        group=group,
    )
    if group not in GROUPS:
        raise BuildError(f"task {name}: unknown group {group!r}", f"use one of {', '.join(GROUPS)}")
    if not spec.targets:
        raise BuildError(f"task {name} has no target", "every artifact names the files that it makes")
    if not callable(build):
        raise BuildError(f"task {name}: build is not a function")
    definition_of(build)
    return {
        "basename": name,
        "doc": doc,
        "actions": None,  # our runner takes the recipe from the description
        "file_dep": list(spec.inputs),
        "targets": list(spec.targets),
        "meta": {"artifact": spec},
    }


def _plain(name: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Values as they come back from the database, so that comparing needs no thought about tuples."""
    try:
        plain: dict[str, Any] = json.loads(json.dumps(dict(values), sort_keys=True))
    except (TypeError, ValueError) as error:
        raise BuildError(
            f"task {name}: values must be JSON: {error}", "pass str(), int() or lists"
        ) from error
    return plain
