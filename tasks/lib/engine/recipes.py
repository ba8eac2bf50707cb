"""What a recipe consists of: its source and that of everything in the checkout that it can reach."""

from __future__ import annotations

import functools
import hashlib
import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

from tasks.lib.engine.artifact import definition_of
from tasks.lib.engine.digests import Digests
from tasks.lib.engine.source import Summary, summarise
from tasks.lib.errors import BuildError

FORMAT = 2
STARTED_NS = time.time_ns()
# The engine and the error class decide when and how recipes run, not what they write.
UNINVOLVED = ("tasks.lib.engine", "tasks.lib.errors")
Definition = tuple[str, str]


class Memory(Protocol):
    """Where computed values are kept from run to run (Database)."""

    def recipes(self, key: str) -> dict[str, Any] | None:
        """What was saved under `key`."""

    def save_recipes(self, key: str, value: dict[str, Any]) -> None:
        """Keep `value` under `key`."""


class Recipes:
    """Digests of recipes of one checkout; raises BuildError for a module that can not be parsed."""

    def __init__(self, top: Path, digests: Digests, memory: Memory) -> None:
        self._top = top
        self._digests = digests
        self._memory = memory
        self._modules: dict[str, tuple[str, str]] = {}
        for path in sorted([*top.glob("*.py"), *(top / "tasks").rglob("*.py")]):
            name = path.relative_to(top).as_posix()
            digest = (digests.of(name) or "").rpartition(":")[2] + _doubt(path)
            module = name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
            self._modules[module] = (name, digest)
        self._packages = digests.of("requirements.lock") or ""
        state = [FORMAT, self._packages, sorted((module, held[1]) for module, held in self._modules.items())]
        self._key = hashlib.sha256(json.dumps(state).encode()).hexdigest()
        self._known: dict[str, Any] = memory.recipes("recipes") or {}
        if self._known.get("key") != self._key:
            self._known = {"key": self._key}

    @functools.cached_property
    def _summaries(self) -> dict[str, Summary]:
        """All modules' definitions; those of unchanged modules are remembered."""
        held = self._memory.recipes("modules") or {}
        summaries: dict[str, Summary] = {}
        keep: dict[str, Any] = {}
        for module, (name, digest) in self._modules.items():
            key = f"{FORMAT}:{digest}"
            try:
                keep[key] = held.get(key) or summarise((self._top / name).read_text())
            except (SyntaxError, OSError) as error:
                raise BuildError(f"{name}: {error}") from error
            summaries[module] = keep[key]
        self._memory.save_recipes("modules", keep)
        return summaries

    def parts(self, build: Callable[..., object]) -> dict[str, str]:
        """Everything that the recipe reaches: "module:name" -> digest of its source (16 hex digits), imported
        package -> version, and the bound arguments.
        """
        module, name, bound = definition_of(build)
        key = f"{module}:{name}"
        if key not in self._known:
            self._known[key] = self._closure((module, name))
            self._memory.save_recipes("recipes", self._known)
        parts: dict[str, str] = self._known[key]
        return {**parts, "arguments": bound} if bound else parts

    def _closure(self, start: Definition) -> dict[str, str]:
        seen: set[Definition] = set()
        external: set[str] = set()
        stack = [start]
        while stack:
            module, name = stack.pop()
            if (module, name) in seen or module.startswith(UNINVOLVED):
                continue
            summary = self._summaries.get(module)
            if summary is None:
                external.add(module.partition(".")[0])
                continue
            seen.add((module, name))
            stack.extend(self._reached(module, summary, name))
        parts = {f"{module}:{name}": self._text(module, name)[:16] for module, name in sorted(seen)}
        parts.update(
            {package: version for package in sorted(external) if (version := self._version(package))}
        )
        return parts

    def _version(self, package: str) -> str:
        """The installed version of the distribution that provides an imported package, "" for the library's.

        Looked up once for each content of requirements.lock, as asking for it takes a tenth of a second.
        """
        if package in sys.stdlib_module_names:
            return ""
        known = self._memory.recipes("packages") or {}
        if known.get("key") != self._packages:
            known = {"key": self._packages}
        if package not in known:
            from importlib import metadata

            names = sorted(set(metadata.packages_distributions().get(package, [])))
            known[package] = ",".join(f"{name}-{metadata.version(name)}" for name in names)
            self._memory.save_recipes("packages", known)
        return str(known[package])

    def _text(self, module: str, name: str) -> str:
        entry = self._summaries[module]["names"].get(name)
        return str(entry["digest"]) if entry else ""

    def _reached(self, module: str, summary: Summary, name: str) -> Iterator[Definition]:
        """What the definition `name` uses, one step far; "*" stands for all names of a module."""
        if name == "*":
            yield from ((module, other) for other in summary["names"])
            return
        entry = summary["names"].get(name)
        if entry is None:
            if name in summary["imports"]:  # a name that this module only hands on
                yield from self._imported(summary["imports"][name], [])
            return
        for reference in entry["refs"]:
            root, *rest = reference.split(".")
            source = entry["imports"].get(root) or summary["imports"].get(root)
            if source:
                yield from self._imported(source, rest)
            elif root in summary["names"]:
                yield module, root

    def _imported(self, source: list[str], rest: list[str]) -> Iterator[Definition]:
        """Resolve `from source[0] import source[1]` followed by the attributes `rest`."""
        module, attribute = source
        chain = [attribute, *rest] if attribute else list(rest)
        while chain and f"{module}.{chain[0]}" in self._modules:
            module = f"{module}.{chain.pop(0)}"
        yield module, chain[0] if chain else "*"


def _doubt(path: Path) -> str:
    """Unlike anything else when a module changed after we started: what was imported is not known then."""
    now = time.time_ns()
    return f"+{now}" if STARTED_NS < path.lstat().st_ctime_ns <= now else ""
