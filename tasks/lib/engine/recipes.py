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

from tasks.lib.engine.digests import Digests
from tasks.lib.engine.source import EFFECTS, Summary, summarise
from tasks.lib.engine.spec import definition_of
from tasks.lib.errors import BuildError

FORMAT = 3
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
        for path in code(top):
            name = path.relative_to(top).as_posix()
            digest = (digests.of(name) or "").rpartition(":")[2] + _doubt(path)
            module = name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
            self._modules[module] = (name, digest)
        self._local = {entry.stem for entry in top.iterdir() if entry.is_dir() or entry.suffix == ".py"}
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
        imported: set[str] = set()
        stack = [start]
        while stack:
            module, name = stack.pop()
            if (module, name) in seen or module.startswith(UNINVOLVED):
                continue
            summary = self._summaries.get(module)
            if summary is None:
                external.add(self._foreign(module))
                continue
            seen.add((module, name))
            stack.extend(self._reached(module, summary, name))
            stack.extend(self._effects(module, imported))
        parts = {f"{module}:{name}": self._text(module, name)[:16] for module, name in sorted(seen)}
        parts.update(
            {package: version for package in sorted(external) if (version := self._version(package))}
        )
        return parts

    def _foreign(self, module: str) -> str:
        """The package of a module that is not of the checkout.

        Raises BuildError for one that should be.
        """
        package = module.partition(".")[0]
        if package in self._local:
            raise BuildError(f"{module} is imported by a recipe, but is no module of this checkout",
                             "correct the import, or add the file")  # fmt: skip
        return package

    def _effects(self, module: str, seen: set[str]) -> Iterator[Definition]:
        """What happens when a module is imported, and when those are that it imports."""
        if module in seen or module not in self._modules or module.startswith(UNINVOLVED):
            return
        seen.add(module)
        summary = self._summaries[module]
        for name in summary["names"]:
            if name == EFFECTS or (name.startswith(EFFECTS) and self._is_local(module, summary, name[1:])):
                yield module, name
        for source in summary["imports"].values():
            for other, _ in self._imported(module, source, []):
                yield from self._effects(other, seen)

    def _is_local(self, module: str, summary: Summary, decorator: str) -> bool:
        """Whether a decorator is code of the checkout."""
        root, *rest = decorator.split(".")
        source = summary["imports"].get(root)
        found = self._imported(module, source, rest) if source else [(module, root)]
        return any(
            other in self._modules and name in self._summaries[other]["names"] for other, name in found
        )

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
                yield from self._imported(module, summary["imports"][name], [])
            yield from self._by_star(module, summary, name)
            return
        for reference in entry["refs"]:
            root, *rest = reference.split(".")
            source = entry["imports"].get(root) or summary["imports"].get(root)
            if source:
                yield from self._imported(module, source, rest)
            elif root in summary["names"]:
                yield module, root
            else:
                yield from self._by_star(
                    module, {"imports": {**summary["imports"], **entry["imports"]}}, root
                )

    def _by_star(self, module: str, summary: Summary, name: str) -> Iterator[Definition]:
        """Where a name comes from that `from x import *` may have brought."""
        for local, source in summary["imports"].items():
            if local.startswith("*"):
                other = self._absolute(module, source[0])
                held = self._summaries.get(other)
                if held is None or name in held["names"] or name in held["imports"]:
                    yield other, name
                else:
                    yield from self._by_star(other, held, name)

    def _absolute(self, module: str, source: str) -> str:
        """The module that a relative import in `module` means (importlib.util.resolve_name)."""
        dots = len(source) - len(source.lstrip("."))
        if not dots:
            return source
        package = module.split(".")
        is_package = self._modules[module][0].endswith("__init__.py")
        kept = package[: len(package) - dots + is_package]
        return ".".join(filter(None, [*kept, source[dots:]]))

    def _imported(self, inside: str, source: list[str], rest: list[str]) -> Iterator[Definition]:
        """Resolve `from source[0] import source[1]` in a module, followed by the attributes `rest`."""
        module, attribute = self._absolute(inside, source[0]), source[1]
        chain = [attribute, *rest] if attribute else list(rest)
        while chain and f"{module}.{chain[0]}" in self._modules:
            module = f"{module}.{chain.pop(0)}"
        if attribute not in ("", "*") and chain == [attribute, *rest] and module in self._modules:
            self._check_name(inside, module, attribute)
        yield module, chain[0] if chain else "*"

    def _check_name(self, inside: str, module: str, name: str) -> None:
        """Refuse an import of what is neither in the module nor a module of the package.

        Raises BuildError.
        """
        held = self._summaries[module]
        stars = any(local.startswith("*") for local in held["imports"])
        if (
            name not in held["names"]
            and name not in held["imports"]
            and not stars
            and not name.startswith("__")
        ):
            raise BuildError(f"{inside} imports {name} from {module}, which has no such name",
                             "correct the import, or add the file")  # fmt: skip


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
