"""versions.toml: what to build from, read and checked."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

from agent.update.keys import TEST_KEY
from tasks.lib.errors import BuildError
from tasks.lib.paths import TOP
from tasks.lib.rules import Rule, one_of, shown, text, texts, whole

CONFIG = TOP / "versions.toml"


# Debian Policy 5.6.1: names of packages.
PACKAGES = texts(r"[a-z0-9][a-z0-9+.-]+", "a Debian package name such as busybox-static")
# Which ones there are is known where they are made: lib/arch.py, the tables of providers, kernel/*.modules.
NAME = text(r"[a-z][a-z0-9-]*", "a name of small letters, digits and dashes")
PATTERNS = texts(r"[a-z0-9]([a-z0-9+.-]|\{arch\})+", "a Debian package name, {arch} for the architecture")
KEYS = texts(
    r"[0-9a-f]{64}", "a public key of ./doit keygen, 64 hex digits", never={TEST_KEY: "the tests' key"}
)
SEMVER = r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?"
VERSION = text(SEMVER, "a semantic version such as 0.1.0")


def key(rule: Rule, **default: Any) -> Any:  # noqa: ANN401 (dataclasses.field is typed so, too)
    """A field of a section, with its rule."""
    return field(metadata={"rule": rule}, **default)


@dataclass(frozen=True)
class Os:
    """[os]: the product's version (semantic), its files' date (seconds since 1970), and what processor."""

    version: str = key(VERSION)
    epoch: int = key(
        whole(315532800, 2**32 - 1, "whole seconds since 1970, from 1980 (FAT's first year) to 2106")
    )
    architecture: str = key(NAME, default="amd64")


@dataclass(frozen=True)
class Debian:
    """[debian]: the suite, what to do about vanished versions, where old ones are kept.

    foreign: architectures that are locked besides the builder's own.
    """

    suite: str = key(text(r"[a-z]+", "a suite's code name such as trixie"))
    drift: str = key(one_of("allow", "forbid"), default="allow")
    snapshots: tuple[str, ...] = key(texts(r"https?://\S+", "an http(s) address"), default=())
    foreign: tuple[str, ...] = key(texts(r"[a-z0-9]+", "an architecture such as arm64"), default=())


@dataclass(frozen=True)
class Payload:
    """[payload]: who provides Kubernetes."""

    provider: str = key(NAME, default="upstream")


@dataclass(frozen=True)
class Userland:
    """[userland]: who provides the programs of the root."""

    provider: str = key(NAME, default="debian")


@dataclass(frozen=True)
class Kernel:
    """[kernel]: who provides the kernel, and which of its flavours."""

    provider: str = key(NAME, default="debian")
    flavour: str = key(NAME, default="default")


@dataclass(frozen=True)
class Update:
    """[update]: what the update bundle says about this version; the node's side is docs/update-server.md.

    channel: which nodes it is for. keys: public keys of releases (Ed25519, hex), for the root and for the
    manifest. min_compatible_version: nodes below it must take that version first. floor: nodes that took this
    version never go below that one. valid_days: from [os] epoch on. notes: for people.
    """

    channel: str = key(NAME, default="stable")
    keys: tuple[str, ...] = key(KEYS, default=())
    min_compatible_version: str = key(VERSION, default="0.1.0")
    floor: str = key(VERSION, default="0.1.0")
    valid_days: int = key(whole(1, 3650, "days, 1 to 3650"), default=365)
    notes: str = key(text(r"(?s).{0,4000}", "a text of up to 4000 characters"), default="")


@dataclass(frozen=True)
class PackageSet:
    """[packages.NAME]: Debian packages and how much of what they depend on comes along.

    names: {arch} stands for Debian's name of the architecture. runs: on what is built for, or on what builds.
    amd64, arm64: further packages for one architecture.
    """

    names: tuple[str, ...] = key(PATTERNS)
    depends: str = key(one_of("all", "same-source", "none"), default="all")
    runs: str = key(one_of("target", "host"), default="target")
    amd64: tuple[str, ...] = key(PACKAGES, default=())
    arm64: tuple[str, ...] = key(PACKAGES, default=())

    def on(self, architecture: str) -> tuple[str, ...]:
        """The packages that are named, for an architecture."""
        common = (name.replace("{arch}", architecture) for name in self.names)
        return (*common, *getattr(self, architecture))


@dataclass(frozen=True)
class Config:
    """All of versions.toml."""

    os: Os
    debian: Debian
    payload: Payload
    userland: Userland
    kernel: Kernel
    update: Update
    packages: Mapping[str, PackageSet]


SECTIONS: dict[str, type[Any]] = {
    "os": Os, "debian": Debian, "payload": Payload, "userland": Userland, "kernel": Kernel,
    "update": Update,
}  # fmt: skip


_held: list[tuple[Path, Config]] = []


def load_config(path: Path | None = None) -> Config:
    """Read versions.toml, or another file of its form.

    Raises BuildError naming file, line, key and what is allowed.
    """
    path = path or CONFIG
    try:
        source = path.read_text(encoding="utf-8")
    except OSError as error:
        raise BuildError(f"{path}: can not be read: {error.strerror}", "restore it from git") from error
    except UnicodeDecodeError as error:
        raise BuildError(f"{path}: is not UTF-8 text: {error}", "restore it from git") from error
    found = parsed(path, source)
    if path == CONFIG:
        _held[:] = [(path, found)]
    return found


def held_config() -> Config:
    """What this process, or the one that it was forked from, has loaded: for the way to the packages, which
    recipes go too. What goes into a product is among a task's values."""
    return _held[0][1] if _held and _held[0][0] == CONFIG else load_config()


@lru_cache(maxsize=8)
def parsed(path: Path, source: str) -> Config:
    """The configuration in the text `source` of the file `path`."""
    try:
        document = tomllib.loads(source)
    except tomllib.TOMLDecodeError as error:
        raise BuildError(f"{path}: is not valid TOML: {error}", "see https://toml.io") from error
    return Reader(path, source).config(document)


@dataclass(frozen=True)
class Reader:
    """Turns the parsed document into a Config; knows the text, to name lines in errors."""

    path: Path
    source: str

    def config(self, document: dict[str, Any]) -> Config:
        """Check every section."""
        known = (*SECTIONS, "packages")
        for name in document:
            if name not in known:
                raise self.error((name,), "unknown section", f"known: {', '.join(known)}")
        parts = {name: self.section((name,), kind, document.get(name, {})) for name, kind in SECTIONS.items()}
        sets = document.get("packages", {})
        if not isinstance(sets, dict):
            raise self.error(("packages",), f"is {shown(sets)}", "allowed: sections [packages.NAME]")
        packages = {name: self.section(("packages", name), PackageSet, table) for name, table in sets.items()}
        return Config(**parts, packages=MappingProxyType(packages))

    def section(self, where: tuple[str, ...], kind: type[Any], table: object) -> Any:  # noqa: ANN401
        """One section as its dataclass."""
        if not isinstance(table, dict):
            raise self.error(where, f"is {shown(table)}", f"allowed: a section [{'.'.join(where)}]")
        rules = {item.name: item for item in fields(kind)}
        for name in table:
            if name not in rules:
                raise self.error((*where, name), "unknown key", f"known: {', '.join(rules)}")
        for name, item in rules.items():
            self.check((*where, name), item, table)
        values = {name: tuple(value) if isinstance(value, list) else value for name, value in table.items()}
        return kind(**values)

    def check(self, where: tuple[str, ...], item: Field[Any], table: dict[str, Any]) -> None:
        """Refuse a missing or a bad value."""
        rule = cast(Rule, item.metadata["rule"])
        if item.name not in table:
            if item.default is MISSING:
                raise self.error(where, "is missing", f"allowed: {rule.allowed}")
        elif wrong := rule.wrong(table[item.name]):
            raise self.error(where, wrong, f"allowed: {rule.allowed}")

    def error(self, where: tuple[str, ...], what: str, hint: str) -> BuildError:
        """An error that names file, line and key."""
        return BuildError(f"{self.path}:{line_of(self.source, where)}: {'.'.join(where)}: {what}", hint)


def line_of(source: str, where: tuple[str, ...]) -> int:
    """The number of the line that defines the key; of its section, when the key is missing; else 1."""
    section: list[str] = []
    best = 1
    for number, line in enumerate(source.splitlines(), 1):
        if header := re.match(r"\s*\[+\s*([^\]#]+?)\s*\]+", line):
            section = split_key(header[1])
            if tuple(section) == where[: len(section)]:
                best = number
            if tuple(section) == where:
                return number
        elif assignment := re.match(r"\s*([A-Za-z0-9_.\"' -]+?)\s*=", line):
            name = (*section, *split_key(assignment[1]))
            if name[: len(where)] == where:
                return number
    return best


def split_key(dotted: str) -> list[str]:
    """The parts of a dotted key, without quotes."""
    return [part.strip().strip("\"'") for part in dotted.split(".")]
