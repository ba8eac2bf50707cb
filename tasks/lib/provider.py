"""Who provides a part of the node - payload, base, kernel - and what parts say about where they come from."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from tasks.lib.errors import BuildError
from tasks.lib.target import Pinned, Target

# SPDX 2.3, 7.13: what one makes no statement about, for want of knowledge.
NOASSERTION = "NOASSERTION"
# Payloads whose kube-proxy wants iptables, and the kernel what that programs (kernel/audit.toml).
IPTABLES = ("kubesolo",)


@dataclass(frozen=True)
class Part:
    """One component of a product.

    kind: package, module or file. version, source: as its origin counts and names them. sha256: of what
    was fetched or built, hex; of a Go module its h1 hash. licence: SPDX expression, or NOASSERTION where
    nothing reliable is known. patches: names of the files below payload/patches/ with which it was changed.
    """

    name: str
    kind: str
    version: str
    source: str
    sha256: str
    licence: str
    patches: tuple[str, ...] = ()


@dataclass(frozen=True)
class Inputs:
    """What a provider's recipe reads: files, folders, the sets of locked programs that it runs, and files of
    elsewhere."""

    files: tuple[Path, ...] = ()
    trees: tuple[Path, ...] = ()
    tools: tuple[str, ...] = ()
    downloads: tuple[Pinned, ...] = ()


@dataclass(frozen=True)
class Provider:
    """One provider.

    recipe: for a target, what writes the files that all providers of its kind write, and as the last one its
    list of parts. inputs: for a target, what that reads.
    """

    doc: str
    recipe: Callable[[Target], Callable[..., None]]
    inputs: Callable[[Target], Inputs]


def choose(kind: str, name: str, known: Mapping[str, Provider]) -> Provider:
    """A provider by its name; BuildError when there is none of that kind."""
    if name not in known:
        raise BuildError(f"versions.toml: {kind}.provider: {name!r} is unknown", f"known: {', '.join(known)}")
    return known[name]


def pinned_part(pinned: Pinned) -> Part:
    """A file of elsewhere, as a part."""
    return Part(pinned.name, "file", pinned.version, pinned.url, pinned.sha256, pinned.licence)


def parts_text(parts: Iterable[Part]) -> str:
    """Parts as JSON, for a task that hands them on to the manifest."""
    return json.dumps([asdict(part) for part in parts], indent=1) + "\n"


def read_parts(path: Path) -> list[Part]:
    """The parts that a task has handed on."""
    rows = json.loads(path.read_text())
    return [Part(**{**row, "patches": tuple(row["patches"])}) for row in rows]
