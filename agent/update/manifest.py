"""What a bundle says about itself: version, for whom, and size and SHA-256 of every file.

Format: docs/update-server.md. It comes from outside: every key is checked, whatever the signature says.
"""

from __future__ import annotations

import calendar
import json
import re
import time
from dataclasses import dataclass, field

from agent.update.errors import Unverified
from agent.update.version import Version

LARGEST = 256 << 10
SCHEMA = 1
NAME = "kubesolo-os"
KERNEL = "vmlinuz"
INITRAMFS = "kubesolo-os.gz"
MOST_FILES = 32
MOST_KEYS = 8
LARGEST_FILE = 1 << 34
FILE_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}", re.ASCII)
PATH = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*(?:/[A-Za-z0-9][A-Za-z0-9._+-]*)*", re.ASCII)
DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)
WORD = re.compile(r"[a-z0-9][a-z0-9._-]{0,31}", re.ASCII)
TIME = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})Z", re.ASCII)
# The slot's own list of its files.
RESERVED = ("manifest.json",)


@dataclass(frozen=True)
class Part:
    """A file of a bundle: path below the manifest's folder, size in bytes, SHA-256 in hexadecimal."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True)
class File(Part):
    """A file of a slot; chunks: the index of its chunks, where the bundle has one."""

    chunks: Part | None = None


@dataclass(frozen=True)
class Manifest:
    """A bundle; released and expires in seconds since 1970."""

    version: Version
    channel: str
    architecture: str
    board: str
    released: int
    expires: int
    minimum: Version
    floor: Version
    notes: str
    keys: tuple[str, ...] = ()
    files: dict[str, File] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """All files together, in bytes."""
        return sum(file.size for file in self.files.values())


def parse(data: bytes) -> Manifest:
    """A manifest from its bytes; raises Unverified, saying which key is wrong and what it must be."""
    if len(data) > LARGEST:
        raise Unverified(f"the manifest is larger than {LARGEST >> 10} KiB")
    try:
        values = json.loads(data.decode(), object_pairs_hook=without_twins, parse_constant=no_constant)
    except (ValueError, RecursionError) as error:
        raise Unverified(f"the manifest is no JSON: {error}") from error
    if not isinstance(values, dict):
        raise Unverified("the manifest is no JSON object")
    try:
        return of(values)
    except (KeyError, TypeError, ValueError) as error:
        what = f"{error.args[0]} is missing" if isinstance(error, KeyError) else error
        raise Unverified(f"the manifest is not in order: {what}") from error


def without_twins(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """A JSON object none of whose keys is there twice."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is there twice")
    return found


def no_constant(name: str) -> None:
    """JSON has no NaN and no Infinity (RFC 8259, section 6)."""
    raise ValueError(f"{name} is no number")


def of(values: dict[str, object]) -> Manifest:
    """From the values of the JSON object; KeyError, TypeError and ValueError name the key."""
    if values["schema"] != SCHEMA or values["name"] != NAME:
        raise ValueError(f"it is for {values['name']!r}, schema {values['schema']!r}, not for {NAME!r}, 1")
    return Manifest(
        version=version(values, "version"),
        channel=matching(values, "channel", WORD),
        architecture=matching(values, "architecture", WORD),
        board=matching(values, "board", WORD),
        released=moment(values, "released"),
        expires=moment(values, "expires"),
        minimum=version(values, "min_compatible_version"),
        floor=version(values, "floor"),
        notes=text(values, "notes")[:4096],
        keys=keys_of(values.get("keys", [])),
        files=files_of(values["files"]),
    )


def text(values: dict[str, object], key: str) -> str:
    """A text."""
    value = values[key]
    if not isinstance(value, str):
        raise TypeError(f"{key} is no text")
    return value


def matching(values: dict[str, object], key: str, pattern: re.Pattern[str]) -> str:
    """A text of a form."""
    value = text(values, key)
    if not pattern.fullmatch(value):
        raise ValueError(f"{key} cannot be {value[:80]!r}")
    return value


def version(values: dict[str, object], key: str) -> Version:
    """A version."""
    try:
        return Version(text(values, key))
    except ValueError as error:
        raise ValueError(f"{key}: {error}") from error


def moment(values: dict[str, object], key: str) -> int:
    """A time, in seconds since 1970."""
    found = TIME.fullmatch(text(values, key))
    parts = tuple(int(part) for part in found.groups()) if found else ()
    seconds = calendar.timegm((*parts, 0, 0, 0)) if found else 0
    # What there is no such day of comes back as another one.
    if not found or time.gmtime(seconds)[:6] != parts:
        raise ValueError(f"{key} is no time such as 2026-01-31T00:00:00Z")
    return seconds


def size_of(values: dict[str, object]) -> int:
    """A size in bytes."""
    value = values["size"]
    if type(value) is not int or not 0 < value <= LARGEST_FILE:
        raise ValueError(f"size cannot be {str(value)[:40]}")
    return value


def part_of(values: object) -> Part:
    """A file of the bundle."""
    if not isinstance(values, dict):
        raise TypeError("a file is no JSON object")
    path = matching(values, "path", PATH)
    if ".." in path.split("/") or len(path) > 255:
        raise ValueError(f"path cannot be {path[:80]!r}")
    return Part(path, size_of(values), matching(values, "sha256", DIGEST))


def files_of(values: object) -> dict[str, File]:
    """All files of a slot, by name."""
    if not isinstance(values, dict) or not 2 <= len(values) <= MOST_FILES:
        raise ValueError(f"files: from 2 to {MOST_FILES} are needed")
    found = {}
    for name, row in values.items():
        if not FILE_NAME.fullmatch(name) or name in RESERVED or name.endswith(".part"):
            raise ValueError(f"files: no file can be called {name[:80]!r}")
        part = part_of(row)
        chunks = part_of(row["chunks"]) if "chunks" in row else None
        found[name] = File(part.path, part.size, part.sha256, chunks)
    if missing := {KERNEL, INITRAMFS} - set(found):
        raise ValueError(f"files: {', '.join(sorted(missing))} is missing")
    return found


def keys_of(values: object) -> tuple[str, ...]:
    """Public keys, 64 hexadecimal digits each."""
    if not isinstance(values, list) or len(values) > MOST_KEYS:
        raise ValueError(f"keys: a list of at most {MOST_KEYS} is needed")
    for value in values:
        if not isinstance(value, str) or not DIGEST.fullmatch(value):
            raise ValueError("keys: a public key is 64 hexadecimal digits")
    return tuple(values)
