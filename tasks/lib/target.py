"""What is built: one frozen value that decides about every byte of a product, made in dodo.py."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from tasks.lib.arch import Arch, arch
from tasks.lib.config import Config, Download, Update
from tasks.lib.errors import BuildError
from tasks.lib.paths import BUILD

# Payloads that others have compiled: they need libraries of the base.
LINKED = ("kubesolo",)
Tasks = Callable[["Target"], Iterable[dict[str, Any]]]


@dataclass(frozen=True)
class Pinned:
    """A file of elsewhere, for one architecture: where it is, and the SHA-256 (hex) that decides."""

    name: str
    version: str
    url: str
    sha256: str
    licence: str


@dataclass(frozen=True)
class Target:
    """A node that is built for.

    kernel, base, payload: names of their providers. flavour: of the kernel. version: of the product
    (semantic). epoch: date of every file, in seconds since 1970. label: what its tasks' names end in, "" for
    what versions.toml describes. group: the heading of its parts in ./doit list. update: what nodes are told
    about the version. downloads: the files of elsewhere that its providers may ask for, by name.
    """

    arch: Arch
    kernel: str
    flavour: str
    base: str
    payload: str
    version: str
    epoch: int
    label: str = ""
    group: str = "parts"
    update: Update = field(default_factory=Update)
    downloads: Mapping[str, Download] = field(default_factory=dict, compare=False, repr=False)

    def variant(self, label: str, group: str = "tests", **changes: Any) -> Target:  # noqa: ANN401 (fields)
        """The same but for some fields."""
        return replace(self, label=label, group=group, **changes)

    def task(self, noun: str) -> str:
        """The name of a task of this target."""
        return f"{noun}-{self.label}" if self.label else noun

    def pinned(self, name: str) -> Pinned:
        """A file of elsewhere; BuildError when versions.toml does not say which one for this architecture."""
        found = self.downloads.get(name)
        sha256 = getattr(found, self.arch.name, "")
        if found is None or not sha256:
            raise BuildError(
                f"versions.toml: downloads.{name}.{self.arch.name}: is missing, and a provider is made of it",
                f"write the SHA-256 of the file for {self.arch.name} there: docs/providers.md",
            )
        url = found.url.replace("{version}", found.version).replace("{arch}", self.arch.name)
        return Pinned(name, found.version, url, sha256, found.licence)

    def has_pinned(self, name: str) -> bool:
        """Whether versions.toml names that file for this architecture."""
        return bool(getattr(self.downloads.get(name), self.arch.name, ""))

    @property
    def for_tests(self) -> bool:
        """Whether nobody but the tests wants it."""
        return self.group == "tests"

    def description(self) -> dict[str, Any]:
        """The values of a task that describes a product."""
        return {"epoch": self.epoch, "version": self.version, "architecture": self.arch.name}

    # Where intermediates lie: what differs with fewer dimensions is shared by more targets.

    @cached_property
    def folder(self) -> Path:
        """Of what differs with the architecture alone."""
        return BUILD / self.arch.name

    @cached_property
    def kernel_folder(self) -> Path:
        """Of what differs with the kernel."""
        return self.folder / f"kernel-{self.kernel}-{self.flavour}"

    @cached_property
    def base_folder(self) -> Path:
        """Of what differs with the base."""
        return self.folder / f"base-{self.base}"

    @cached_property
    def payload_folder(self) -> Path:
        """Of what differs with the payload, and with the base for one that is linked with its libraries."""
        return self.folder / f"payload-{self.payload}{f'-{self.base}' if self.payload in LINKED else ''}"

    @cached_property
    def system_folder(self) -> Path:
        """Of what differs with base and kernel."""
        return self.folder / f"system-{self.base}-{self.kernel}-{self.flavour}"

    @cached_property
    def version_folder(self) -> Path:
        """Of what differs with the version."""
        return self.folder / f"version-{self.version}"

    @cached_property
    def edition_folder(self) -> Path:
        """Of what differs with the version, and with whether it is for tests."""
        return self.folder / self._edition

    @cached_property
    def product_folder(self) -> Path:
        """Of what differs with everything."""
        system = f"{self.payload}-{self.base}-{self.kernel}-{self.flavour}"
        return self.folder / f"product-{system}-{self._edition}"

    @cached_property
    def _edition(self) -> str:
        return f"{'test' if self.for_tests else 'release'}-{self.version}"


def from_config(config: Config) -> Target:
    """The target that versions.toml describes; BuildError when it names an unknown architecture."""
    return Target(
        arch=arch(config.os.architecture),
        kernel=config.kernel.provider,
        flavour=config.kernel.flavour,
        base=config.userland.provider,
        payload=config.payload.provider,
        version=config.os.version,
        epoch=config.os.epoch,
        update=config.update,
        downloads=config.downloads,
    )


def each(targets: Iterable[Target], makers: Iterable[Tasks]) -> Iterator[dict[str, Any]]:
    """The tasks of all targets in order of flow; what targets share belongs to the first of them."""
    seen: set[str] = set()
    listed = list(targets)
    for maker in makers:
        for target in listed:
            for task in maker(target):
                if seen.isdisjoint(task["targets"]):
                    seen.update(task["targets"])
                    yield task
