"""What a recipe consists of: its source and that of everything in the checkout that it can reach."""

from __future__ import annotations

import functools
import hashlib
import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tasks.lib.code.reach import Code
from tasks.lib.code.source import Summary, summarise
from tasks.lib.engine.database import Database
from tasks.lib.engine.digests import Digests
from tasks.lib.engine.spec import definition_of
from tasks.lib.errors import BuildError

FORMAT = 3
STARTED_NS = time.time_ns()
# The engine and the error class decide when and how recipes run, not what they write.
UNINVOLVED = ("tasks.lib.engine", "tasks.lib.errors")


class Recipes:
    """Digests of recipes of one checkout; raises BuildError for a module that can not be parsed."""

    def __init__(self, top: Path, digests: Digests, memory: Database) -> None:
        self._top = top
        self._digests = digests
        self._memory = memory
        self._modules: dict[str, tuple[str, str]] = {}
        for path in code(top):
            name = path.relative_to(top).as_posix()
            digest = (digests.of(name) or "").rpartition(":")[2] + _doubt(path)
            module = name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
            self._modules[module] = (name, digest)
        self._packages = digests.of("requirements.lock") or ""
        state = [FORMAT, self._packages, sorted((module, held[1]) for module, held in self._modules.items())]
        self._key = hashlib.sha256(json.dumps(state).encode()).hexdigest()
        self._known: dict[str, Any] = memory.value("recipes", "recipes") or {}
        if self._known.get("key") != self._key:
            self._known = {"key": self._key}

    @functools.cached_property
    def _code(self) -> Code:
        """All modules' definitions; those of unchanged modules are remembered."""
        held = self._memory.value("recipes", "modules") or {}
        keep: dict[str, Any] = {}
        summaries: dict[str, Summary] = {}
        for module, (name, digest) in self._modules.items():
            key = f"{FORMAT}:{digest}"
            try:
                keep[key] = held.get(key) or summarise((self._top / name).read_text())
            except (SyntaxError, OSError) as error:
                raise BuildError(f"{name}: {error}") from error
            summaries[module] = keep[key]
        self._memory.remember("modules", keep)
        packages = {module for module, (name, _) in self._modules.items() if name.endswith("__init__.py")}
        local = {entry.stem for entry in self._top.iterdir() if entry.is_dir() or entry.suffix == ".py"}
        return Code(summaries, packages, local, UNINVOLVED)

    def parts(self, build: Callable[..., object]) -> dict[str, str]:
        """Everything that the recipe reaches: "module:name" -> digest of its source (16 hex digits), imported
        package -> version, and the bound arguments.
        """
        module, name, bound = definition_of(build)
        key = f"{module}:{name}"
        if key not in self._known:
            definitions, packages = self._code.closure((module, name))
            found = {":".join(each): self._code.digest(each)[:16] for each in sorted(definitions)}
            versions = {package: self._version(package) for package in sorted(packages)}
            self._known[key] = found | {package: version for package, version in versions.items() if version}
            self._memory.remember("recipes", self._known)
        parts: dict[str, str] = self._known[key]
        return {**parts, "arguments": bound} if bound else parts

    def _version(self, package: str) -> str:
        """The installed version of the distribution that provides an imported package, "" for the library's.

        Looked up once for each content of requirements.lock, as asking for it takes a tenth of a second.
        """
        if package in sys.stdlib_module_names:
            return ""
        known = self._memory.value("recipes", "packages") or {}
        if known.get("key") != self._packages:
            known = {"key": self._packages}
        if package not in known:
            from importlib import metadata

            names = sorted(set(metadata.packages_distributions().get(package, [])))
            known[package] = ",".join(f"{name}-{metadata.version(name)}" for name in names)
            self._memory.remember("packages", known)
        return str(known[package])


def code(top: Path) -> Iterator[Path]:
    """The modules of a checkout that recipes may use: all but its tests, and what was built."""
    packages = [folder for folder in sorted(top.iterdir()) if (folder / "__init__.py").exists()]
    yield from sorted(top.glob("*.py"))
    for folder in packages:
        if folder.name != "tests":
            yield from sorted(folder.rglob("*.py"))


def _doubt(path: Path) -> str:
    """Unlike anything else when a module changed after we started: what was imported is not known then."""
    now = time.time_ns()
    return f"+{now}" if STARTED_NS < path.lstat().st_ctime_ns <= now else ""
