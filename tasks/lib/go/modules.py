"""Which Go modules a program was linked from, and under which licences (go.dev/ref/mod, "go version -m")."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from pathlib import Path

from tasks.lib.go.patch import PLACE
from tasks.lib.go.program import command
from tasks.lib.paths import TOP, cache_dir
from tasks.lib.process import run
from tasks.lib.provider import Part

GO_SUM = TOP / "payload" / "go.sum"
UNKNOWN = "see its LICENSE file"
LICENCE_FILES = ("LICENSE*", "LICENCE*", "License*", "license*", "COPYING*", "UNLICENSE*")
# A sentence that only this licence's text has, in lower case, with single blanks and without commas.
SENTENCES = {
    "Apache-2.0": "apache license version 2.0 january 2004",
    "MPL-2.0": "mozilla public license version 2.0",
    "MIT": "permission is hereby granted free of charge to any person obtaining a copy",
    "ISC": "permission to use copy modify and/or distribute this software for any purpose",
    "BSD-2-Clause": "redistribution and use in source and binary forms",
    "BSD-3-Clause": "may be used to endorse or promote products derived from",
    "Unlicense": "this is free and unencumbered software released into the public domain",
    "CC0-1.0": "cc0 1.0 universal",
    "GPL-3.0-only": "gnu general public license version 3 29 june 2007",
    "GPL-2.0-only": "gnu general public license version 2 june 1991",
}


def module_parts(programs: Iterable[Path]) -> list[Part]:
    """The modules that the programs were linked from, each once; the program's own module is left out.

    sha256 is the module's h1 hash of go.sum, in hex. Raises BuildError when a file is no Go program.
    """
    found: dict[tuple[str, str], Part] = {}
    for program in programs:
        text = run([command(), "version", "-m", program]).stdout.decode()
        for path, version, hash1 in linked(text):
            if (path, version) not in found:
                found[path, version] = part(path, version, hash1)
    return [found[key] for key in sorted(found)]


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


def part(path: str, version: str, hash1: str) -> Part:
    """One module as a part of a product."""
    digest = base64.b64decode(hash1.removeprefix("h1:")).hex()
    return Part(path, "module", version, f"{path}@{version}", digest, licence(folder(path, version)))


def folder(path: str, version: str) -> Path:
    """Where the module's files lie in the module cache: capitals are written as ! and the small letter."""
    escaped = re.sub(r"[A-Z]", lambda match: "!" + match[0].lower(), f"{path}@{version}")
    return cache_dir() / "go" / "mod" / escaped


def licence(place: Path) -> str:
    """The SPDX expression for the licence files of a module, which often lie in a folder above it."""
    root = cache_dir() / "go" / "mod"
    for candidate in (place, *place.parents):
        texts = [
            file for pattern in LICENCE_FILES for file in sorted(candidate.glob(pattern)) if file.is_file()
        ]
        if texts:
            names = {name for file in texts for name in classify(file.read_text(errors="replace"))}
            return " AND ".join(sorted(names)) or UNKNOWN
        if candidate == root or "@" not in candidate.as_posix().removeprefix(root.as_posix()):
            break
    return UNKNOWN


def classify(text: str) -> set[str]:
    """The licences whose text this is."""
    bare = re.sub(r"^[\s*#/]+|,", "", text, flags=re.MULTILINE)
    plain = re.sub(r"\s+", " ", bare).lower()
    names = {name for name, sentence in SENTENCES.items() if sentence in plain}
    return names - {"BSD-2-Clause"} if "BSD-3-Clause" in names else names
