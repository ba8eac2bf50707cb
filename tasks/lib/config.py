"""versions.toml: what to build from, read and checked."""

from __future__ import annotations

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
from tasks.lib.rules import Rule, line_of, one_of, shown, text, texts, whole

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
RELEASE = text(r"[0-9A-Za-z][0-9A-Za-z.+~-]*", "a version as its makers write it, such as 1.2.3")
ADDRESS = text(
    r"(https?://|file:///)\S+", "an address https://…, http://… or file:///…, {version} and {arch} in it"
)
SHA256 = text(r"[0-9a-f]{64}", "a SHA-256, 64 hex digits")


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
class LiveKernel:
    """[live.kernel]: who provides the Live CD's kernel, and which of its flavours."""

    provider: str = key(NAME, default="debian")
    flavour: str = key(NAME, default="default")


@dataclass(frozen=True)
class Component:
    """[live.components] NAME = { url = …, sha256 = … }: a program, or an archive of some."""

    url: str = key(text(r"https?://\S+", "an http(s) address"))
    sha256: str = key(text(r"[0-9a-f]{64}", "a SHA-256, 64 hex digits"))


@dataclass(frozen=True)
class Live:
    """[live]: the Live CD. components: those that are downloaded; the others are compiled ("module")."""

    kernel: LiveKernel = field(default_factory=LiveKernel)
    components: Mapping[str, Component] = field(default_factory=dict)


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
class Download:
    """[downloads.NAME]: a file that a provider is made from and no package has (docs/providers.md).

    url: {version} and {arch} stand for the version and for Debian's name of the architecture. licence: SPDX
    expression for the manifest. amd64, arm64: SHA-256 of the file for that architecture; without it there is
    none.
    """

    version: str = key(RELEASE)
    url: str = key(ADDRESS)
    licence: str = key(text(r"\S[^\n]*", "an SPDX licence expression"), default="NOASSERTION")
    amd64: str = key(SHA256, default="")
    arm64: str = key(SHA256, default="")


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
    downloads: Mapping[str, Download]
    live: Live = field(default_factory=Live)


# What of the Live CD can be another one: a program each, but for archives of several.
COMPONENTS = (
    "kubelet", "kubeadm", "kubectl", "containerd", "crictl", "cni", "crun",
    "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "etcd",
)  # fmt: skip
SECTIONS: dict[str, type[Any]] = {
    "os": Os, "debian": Debian, "payload": Payload, "userland": Userland, "kernel": Kernel,
    "update": Update,
}  # fmt: skip
# Those that there may be several of, each with a name of its own.
FAMILIES: dict[str, type[Any]] = {"packages": PackageSet, "downloads": Download}


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
        known = (*SECTIONS, *FAMILIES, "live")
        for name in document:
            if name not in known:
                raise self.error((name,), "unknown section", f"known: {', '.join(known)}")
        parts = {name: self.section((name,), kind, document.get(name, {})) for name, kind in SECTIONS.items()}
        for name, kind in FAMILIES.items():
            parts[name] = self.family(name, kind, document.get(name, {}))
        live = self.live(document.get("live", {}))
        return Config(**parts, live=live)

    def family(self, name: str, kind: type[Any], tables: object) -> Mapping[str, Any]:
        """The sections [NAME.…] as their dataclasses, by their own names."""
        if not isinstance(tables, dict):
            raise self.error((name,), f"is {shown(tables)}", f"allowed: sections [{name}.NAME]")
        return MappingProxyType({own: self.section((name, own), kind, of) for own, of in tables.items()})

    def live(self, table: object) -> Live:
        """The sections of the Live CD."""
        allowed = "known: kernel, components"
        if not isinstance(table, dict):
            raise self.error(("live",), f"is {shown(table)}", "allowed: a section [live]")
        for name in table:
            if name not in ("kernel", "components"):
                raise self.error(("live", name), "unknown key", allowed)
        found = table.get("components", {})
        if not isinstance(found, dict):
            raise self.error(
                ("live", "components"), f"is {shown(found)}", "allowed: a section [live.components]"
            )
        components = {}
        for name, value in found.items():
            where = ("live", "components", name)
            if name not in COMPONENTS:
                raise self.error(where, "unknown component", f"known: {', '.join(COMPONENTS)}")
            if value == "module":
                continue
            if not isinstance(value, dict):
                raise self.error(
                    where, f"is {shown(value)}", 'allowed: "module" or { url = "…", sha256 = "…" }'
                )
            components[name] = self.section(where, Component, value)
        kernel = self.section(("live", "kernel"), LiveKernel, table.get("kernel", {}))
        return Live(kernel, MappingProxyType(components))

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
