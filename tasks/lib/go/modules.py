"""Which Go modules a program was linked from, and under which licences (go.dev/ref/mod, "go version -m")."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Collection, Iterable
from pathlib import Path

from tasks.lib.arch import HOST
from tasks.lib.go.patch import PLACE
from tasks.lib.go.program import Program, command, compile_program
from tasks.lib.paths import TOP, cache_dir
from tasks.lib.process import run
from tasks.lib.provider import NOASSERTION, Part

GO_SUM = TOP / "payload" / "go.sum"
LICENCE_FILES = ("LICENSE*", "LICENCE*", "License*", "license*", "COPYING*", "UNLICENSE*")
# Recognises their texts.
CLASSIFIER = TOP / "tasks" / "lib" / "go" / "licences"


def module_parts(programs: Iterable[Path], scratch: Path) -> list[Part]:
    """The modules that the programs were linked from, each once; the program's own module is left out.

    sha256 is the module's h1 hash of go.sum, in hex. Raises BuildError when a file is no Go program.
    """
    hashes: dict[tuple[str, str], str] = {}
    for program in programs:
        text = run([command(), "version", "-m", program]).stdout.decode()
        for path, version, hash1 in linked(text):
            hashes.setdefault((path, version), hash1)
    texts = {key: licence_texts(folder(*key)) for key in hashes}
    known = classified((text for found in texts.values() for text in found), scratch)
    return [
        part(*key, hashes[key], {name for text in texts[key] for name in known[text]})
        for key in sorted(hashes)
    ]


def linked(text: str) -> list[tuple[str, str, str]]:
    """Path, version and h1 hash of the modules in the output of `go version -m`.

    A replaced module appears as what replaces it, and not at all when that is a folder of the repository; one
    that was patched for the build (gopatch.py) appears as the module that the copy was made from.
    """
    rows = [line.strip().split("\t") for line in text.splitlines()]
    result: list[tuple[str, str, str]] = []
    for kind, *fields in rows:
        if kind == "=>":
            path, version, _ = result.pop()
            if fields[0].startswith("../") and f"/{PLACE}/" in fields[0]:
                result.append((path, version, recorded_hash(path, version)))
                continue
        if kind in ("dep", "=>"):
            path, version, hash1 = (*fields, "")[:3]
            result.append((path, version, hash1))
    return [row for row in result if not row[0].startswith(".")]


def recorded_hash(path: str, version: str) -> str:
    """The h1 hash of a module of the payload in its go.sum, "" when it is not there."""
    lines = GO_SUM.read_text(encoding="utf-8").splitlines()
    return next((line.split()[2] for line in lines if line.startswith(f"{path} {version} ")), "")


def part(path: str, version: str, hash1: str, licences: Collection[str]) -> Part:
    """One module as a part of a product."""
    digest = base64.b64decode(hash1.removeprefix("h1:")).hex()
    licence = " AND ".join(sorted(licences)) or NOASSERTION
    return Part(path, "module", version, f"{path}@{version}", digest, licence)


def folder(path: str, version: str) -> Path:
    """Where the module's files lie in the module cache: capitals are written as ! and the small letter."""
    escaped = re.sub(r"[A-Z]", lambda match: "!" + match[0].lower(), f"{path}@{version}")
    return cache_dir() / "go" / "mod" / escaped


def licence_texts(place: Path) -> list[Path]:
    """The licence files of a module, which often lie in a folder above it."""
    root = cache_dir() / "go" / "mod"
    for candidate in (place, *place.parents):
        texts = {file for pattern in LICENCE_FILES for file in candidate.glob(pattern) if file.is_file()}
        if texts:
            return sorted(texts)
        if candidate == root or "@" not in candidate.as_posix().removeprefix(root.as_posix()):
            break
    return []


def classified(texts: Iterable[Path], scratch: Path) -> dict[Path, list[str]]:
    """The SPDX identifiers of the licences that each file contains; equal texts are looked at once.

    scratch: a folder for the program that knows them. Raises BuildError when it can not be made.
    """
    same: dict[str, list[Path]] = {}
    for path in sorted(set(texts)):
        same.setdefault(hashlib.sha256(path.read_bytes()).hexdigest(), []).append(path)
    if not same:
        return {}
    program = scratch / "licences"
    compile_program(CLASSIFIER, Program(), program, HOST.go)
    said = run([program, *(paths[0] for paths in same.values())]).stdout
    found: dict[str, list[str]] = json.loads(said)
    return {path: found[str(paths[0])] for paths in same.values() for path in paths}
