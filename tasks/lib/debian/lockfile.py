"""versions.lock: the exact packages that versions.toml resolved to.

The file is JSON, written one package and one set member a line, sorted, so that a difference can be reviewed.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from tasks.lib.arch import HOST
from tasks.lib.errors import BuildError
from tasks.lib.paths import TOP

LOCK = TOP / "versions.lock"
FORMAT = 1
RELOCK = "write it anew with ./doit lock, or restore it from git"


@dataclass(frozen=True)
class Package:
    """One binary package of the archive.

    source: the source package it is built from. archive: whose pool it lies in, "main" or "security".
    path: of the .deb below the mirror's base address. size: in bytes. sha256: of the .deb, hex.
    """

    name: str
    version: str
    architecture: str
    source: str
    archive: str
    path: str
    size: int
    sha256: str

    @property
    def key(self) -> str:
        """How the lock calls it: its name, with the architecture when that is a foreign one, as dpkg does."""
        return keyed(self.name, "" if self.architecture == "all" else self.architecture)

    @property
    def file(self) -> str:
        """The .deb's file name, for people."""
        return self.path.rpartition("/")[2]


@dataclass(frozen=True)
class Index:
    """A signed index that the lock was resolved from.

    suite: e.g. trixie-security. archive: "main" or "security".
    date: its Date field. sha256: of its InRelease file, hex.
    """

    suite: str
    archive: str
    date: str
    sha256: str


@dataclass(frozen=True)
class Lock:
    """All packages by key, and which of them each package set has (sorted keys).

    architecture: of what has no architecture in its key; sets have keys like those of packages.
    """

    suite: str
    architecture: str
    indexes: tuple[Index, ...]
    packages: Mapping[str, Package]
    sets: Mapping[str, tuple[str, ...]]

    def members(self, set_name: str) -> list[Package]:
        """The packages of a set.

        Raises BuildError when the lock does not have it.
        """
        if set_name not in self.sets:
            raise BuildError(f"versions.lock has no package set {set_name}", "run ./doit lock")
        return [self.packages[name] for name in self.sets[set_name]]

    def text(self) -> str:
        """The file's content."""
        lines = ["{", f' "format": {FORMAT},', f' "suite": {json.dumps(self.suite)},',
                 f' "architecture": {json.dumps(self.architecture)},']  # fmt: skip
        lines += [' "indexes": [', *row(f"  {json.dumps(asdict(index))}" for index in self.indexes), " ],"]
        records = (self.packages[name] for name in sorted(self.packages))
        lines += [' "packages": [', *row(f"  {json.dumps(asdict(record))}" for record in records), " ],"]
        lines += [
            ' "sets": {',
            *row(set_text(name, self.sets[name]) for name in sorted(self.sets)),
            " }",
            "}",
        ]
        return "\n".join(lines) + "\n"


def keyed(name: str, architecture: str) -> str:
    """The key of a package or a set: its name, with the architecture ("" for all) when that is foreign."""
    return name if architecture in ("", HOST.name) else f"{name}:{architecture}"


def row(items: Iterable[str]) -> list[str]:
    """The items, with a comma after each but the last."""
    listed = list(items)
    return [item + "," for item in listed[:-1]] + listed[-1:]


def set_text(name: str, members: Iterable[str]) -> str:
    """A set, one member a line."""
    inner = ",\n".join(f"   {json.dumps(member)}" for member in sorted(members))
    return f"  {json.dumps(name)}: [\n{inner}\n  ]"


def parse(content: str, origin: Path) -> Lock:
    """A Lock from the file's content.

    Raises BuildError naming the file when it is not one.
    """
    try:
        data: dict[str, Any] = json.loads(content)
        if data["format"] != FORMAT:
            raise BuildError(f"{origin}: format {data['format']}, this builder reads format {FORMAT}", RELOCK)
        packages = {package.key: package for record in data["packages"] if (package := Package(**record))}
        sets = {name: tuple(members) for name, members in data["sets"].items()}
        for name, members in sets.items():
            for member in members:
                if member not in packages:
                    raise BuildError(f"{origin}: set {name} names {member}, which is not locked", RELOCK)
        indexes = tuple(Index(**record) for record in data["indexes"])
        return Lock(data["suite"], data["architecture"], indexes, packages, sets)
    except json.JSONDecodeError as error:
        raise BuildError(f"{origin}:{error.lineno}: is not valid: {error.msg}", RELOCK) from error
    except (KeyError, TypeError, AttributeError) as error:
        raise BuildError(f"{origin}: is not a lock file: {error}", RELOCK) from error


def load_lock(path: Path | None = None) -> Lock:
    """Read the lock; read again only when the file has changed.

    Raises BuildError when it is missing or damaged.
    """
    path = path or LOCK
    try:
        status = path.stat()
    except OSError as error:
        raise BuildError(f"{path}: can not be read: {error.strerror}", RELOCK) from error
    return read_lock(path, status.st_mtime_ns, status.st_ino, status.st_size)


@lru_cache(maxsize=4)
def read_lock(path: Path, *_identity: int) -> Lock:
    """The lock in a file whose identity (time, inode, size) is part of the cache's key."""
    try:
        return parse(path.read_text(encoding="utf-8"), path)
    except (OSError, UnicodeDecodeError) as error:
        raise BuildError(f"{path}: can not be read: {error}", RELOCK) from error


def write_text(path: Path, content: str) -> None:
    """Put a small file in place in one step: complete, or as before."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(content, encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise BuildError(
            f"{path}: can not be written: {error.strerror}",
            f"look at the disk and permissions of {path.parent}",
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def digest(packages: Iterable[Package]) -> str:
    """SHA-256 (hex) over the packages' names and contents, in any order."""
    lines = sorted(f"{package.key} {package.sha256}\n" for package in packages)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def overlaid(lock: Lock, newer: Lock, source: str) -> Lock:
    """The lock with the packages of one source package replaced by those of a newer lock.

    Comes along: what the new ones need and a set did not have.
    """
    packages, sets = dict(lock.packages), dict(lock.sets)
    for name, members in lock.sets.items():
        if not any(lock.packages[member].source == source for member in members):
            continue
        kept = {member for member in members if lock.packages[member].source != source}
        sets[name] = tuple(sorted(kept | set(newer.sets.get(name, ()))))
        for member in set(sets[name]) - kept:
            packages.setdefault(member, newer.packages[member])
    for name, package in newer.packages.items():
        if package.source == source and any(name in members for members in sets.values()):
            packages[name] = package
    used = {member for members in sets.values() for member in members}
    return replace(lock, packages={name: packages[name] for name in sorted(used)}, sets=sets)


def difference(old: Lock | None, new: Lock) -> list[str]:
    """What changed, one line a package or set: "name old → new", "+ name version", "- name version"."""
    before = old.packages if old else {}
    lines = []
    for name in sorted({*before, *new.packages}):
        was, now = before.get(name), new.packages.get(name)
        if was is None and now is not None:
            lines.append(f"+ {name} {now.version}")
        elif now is None and was is not None:
            lines.append(f"- {name} {was.version}")
        elif was and now and was != now:
            same = " (same version, other file)" if was.version == now.version else ""
            lines.append(f"{name} {was.version} → {now.version}{same}")
    for name in sorted({*(old.sets if old else {}), *new.sets}):
        was_members, now_members = set(old.sets.get(name, ()) if old else ()), set(new.sets.get(name, ()))
        if gone := was_members - now_members:
            lines.append(f"set {name}: - {' '.join(sorted(gone))}")
        if come := now_members - was_members:
            lines.append(f"set {name}: + {' '.join(sorted(come))}")
    return lines
