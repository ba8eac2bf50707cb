"""What is built: one frozen value that decides about every byte of a product, made in dodo.py."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tasks.lib.arch import Arch, arch
from tasks.lib.config import Config, Update
from tasks.lib.paths import BUILD

Tasks = Callable[["Target"], Iterable[dict[str, Any]]]


@dataclass(frozen=True)
class Target:
    """A node that is built for.

    kernel, base, payload: names of their providers. flavour: of the kernel. version: of the product
    (semantic). epoch: date of every file, in seconds since 1970. label: what its tasks' names end in, "" for
    what versions.toml describes. group: the heading of its parts in ./doit list. update: what nodes are told
    about the version.
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

    def variant(self, label: str, group: str = "tests", **changes: Any) -> Target:  # noqa: ANN401 (fields)
        """The same but for some fields."""
        return replace(self, label=label, group=group, **changes)

    def task(self, noun: str) -> str:
        """The name of a task of this target."""
        return f"{noun}-{self.label}" if self.label else noun

    @property
    def for_tests(self) -> bool:
        """Whether nobody but the tests wants it."""
        return self.group == "tests"

    def description(self) -> dict[str, Any]:
        """The values of a task that describes a product."""
        return {"epoch": self.epoch, "version": self.version, "architecture": self.arch.name}

    # Where intermediates lie: what differs with fewer dimensions is shared by more targets.

    @property
    def folder(self) -> Path:
        """Of what differs with the architecture alone."""
        return BUILD / self.arch.name

    @property
    def kernel_folder(self) -> Path:
        """Of what differs with the kernel."""
        return self.folder / f"kernel-{self.kernel}-{self.flavour}"

    @property
    def base_folder(self) -> Path:
        """Of what differs with the base."""
        return self.folder / f"base-{self.base}"

    @property
    def payload_folder(self) -> Path:
        """Of what differs with the payload."""
        return self.folder / f"payload-{self.payload}"

    @property
    def system_folder(self) -> Path:
        """Of what differs with base and kernel."""
        return self.folder / f"system-{self.base}-{self.kernel}-{self.flavour}"

    @property
    def version_folder(self) -> Path:
        """Of what differs with the version."""
        return self.folder / f"version-{self.version}"

    @property
    def edition_folder(self) -> Path:
        """Of what differs with the version, and with whether it is for tests."""
        return self.folder / self._edition

    @property
    def product_folder(self) -> Path:
        """Of what differs with everything."""
        system = f"{self.payload}-{self.base}-{self.kernel}-{self.flavour}"
        return self.folder / f"product-{system}-{self._edition}"

    @property
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
