"""What a function of a checkout reaches there: its code is followed through every form of import."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from tasks.lib.code.source import EFFECTS, Summary
from tasks.lib.errors import BuildError

Definition = tuple[str, str]


@dataclass(frozen=True)
class Code:
    """The modules of a checkout.

    summaries: by full name, as summarise() gives them. packages: those that are a package's __init__.
    local: the names at the top of the checkout, which no package from elsewhere can have. ignored: what the
    names of modules begin with that are not followed.
    """

    summaries: Mapping[str, Summary]
    packages: Collection[str]
    local: Collection[str]
    ignored: tuple[str, ...] = ()

    def closure(self, start: Definition) -> tuple[set[Definition], set[str]]:
        """The definitions (module, name) that one reaches, itself too, and the packages from elsewhere.

        Raises BuildError for an import of what the checkout does not have.
        """
        seen: set[Definition] = set()
        external: set[str] = set()
        imported: set[str] = set()
        stack = [start]
        while stack:
            module, name = stack.pop()
            if (module, name) in seen or module.startswith(self.ignored):
                continue
            summary = self.summaries.get(module)
            if summary is None:
                external.add(self._foreign(module))
                continue
            seen.add((module, name))
            stack.extend(self._reached(module, summary, name))
            stack.extend(self._effects(module, imported))
        return seen, external

    def digest(self, definition: Definition) -> str:
        """SHA-256 (hex) of a definition's source, "" for a name that is only handed on."""
        module, name = definition
        entry = self.summaries[module]["names"].get(name)
        return str(entry["digest"]) if entry else ""

    def _foreign(self, module: str) -> str:
        """The package of a module that is not of the checkout.

        Raises BuildError for one that should be.
        """
        package = module.partition(".")[0]
        if package in self.local:
            raise BuildError(f"{module} is imported by a recipe, but is no module of this checkout",
                             "correct the import, or add the file")  # fmt: skip
        return package

    def _effects(self, module: str, seen: set[str]) -> Iterator[Definition]:
        """What happens when a module is imported, and when those are that it imports."""
        if module in seen or module not in self.summaries or module.startswith(self.ignored):
            return
        seen.add(module)
        summary = self.summaries[module]
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
            other in self.summaries and name in self.summaries[other]["names"] for other, name in found
        )

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
                held = self.summaries.get(other)
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
        is_package = module in self.packages
        kept = package[: len(package) - dots + is_package]
        return ".".join(filter(None, [*kept, source[dots:]]))

    def _imported(self, inside: str, source: list[str], rest: list[str]) -> Iterator[Definition]:
        """Resolve `from source[0] import source[1]` in a module, followed by the attributes `rest`."""
        module, attribute = self._absolute(inside, source[0]), source[1]
        chain = [attribute, *rest] if attribute else list(rest)
        while chain and f"{module}.{chain[0]}" in self.summaries:
            module = f"{module}.{chain.pop(0)}"
        if attribute not in ("", "*") and chain == [attribute, *rest] and module in self.summaries:
            self._check_name(inside, module, attribute)
        yield module, chain[0] if chain else "*"

    def _check_name(self, inside: str, module: str, name: str) -> None:
        """Refuse an import of what is neither in the module nor a module of the package.

        Raises BuildError.
        """
        held = self.summaries[module]
        stars = any(local.startswith("*") for local in held["imports"])
        if (
            name not in held["names"]
            and name not in held["imports"]
            and not stars
            and not name.startswith("__")
        ):
            raise BuildError(f"{inside} imports {name} from {module}, which has no such name",
                             "correct the import, or add the file")  # fmt: skip
