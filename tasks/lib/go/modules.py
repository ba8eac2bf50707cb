"""Which Go modules a program was linked from, and under which licences (go.dev/ref/mod, "go version -m")."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tasks.lib.arch import HOST
from tasks.lib.go.patch import PLACE, TOOLCHAIN, Patch
from tasks.lib.go.program import Program, command, compile_program
from tasks.lib.go.toolchain import toolchain_folder
from tasks.lib.paths import TOP, cache_dir
from tasks.lib.process import run
from tasks.lib.provider import NOASSERTION, Part

GO_SUM = TOP / "payload" / "go.sum"
LICENCE_FILES = ("LICENSE*", "LICENCE*", "License*", "license*", "COPYING*", "UNLICENSE*")
# Go's own library, as vulnerability databases call it.
STANDARD = "stdlib"
# Recognises their texts.
CLASSIFIER = TOP / "tasks" / "lib" / "go" / "licences"


@dataclass(frozen=True)
class Linked:
    """A module in a program: path and version as in go.mod, hash as in go.sum, and whether it was patched."""

    path: str
    version: str
    hash1: str = ""
    patched: bool = False


def module_parts(
    programs: Iterable[Path], scratch: Path, patches: Sequence[Patch] = (), suffix: str = ""
) -> list[Part]:
    """The modules that the programs were linked from, each once; a program's own only when it has a version.

    patches: all that there are; suffix: of the version of what one of them changes. Raises BuildError when a
    file is no Go program.
    """
    found: dict[tuple[str, str], Linked] = {}
    for program in programs:
        text = run([command(), "version", "-m", program]).stdout.decode()
        for module in linked(text):
            if (module.path, module.version) not in found or module.patched:
                found[module.path, module.version] = module
    texts = {module: licence_texts(folder(module)) for module in found.values()}
    known = classified((text for paths in texts.values() for text in paths), scratch)
    parts = []
    for module in (found[key] for key in sorted(found)):
        names = {name for text in texts[module] for name in known[text]}
        origin = TOOLCHAIN if module.path == STANDARD else module.path
        changes = [patch.name for patch in patches if module.patched and patch.module == origin]
        parts.append(part(module, names, changes, suffix))
    return parts


def linked(text: str) -> list[Linked]:
    """The modules in the output of `go version -m`, Go's own library first.

    A replaced module appears as what replaces it, and not at all when that is a folder of the repository; one
    that was patched for the build (patch.py) appears as the module that the copy was made from. Whether Go's
    library was patched does not show; a program that has patches has those, too.
    """
    rows = [line.strip().split("\t") for line in text.splitlines()]
    toolchain = re.search(r": go(\S+)", text)
    patched = f"/{PLACE}/" in text
    result = [Linked(STANDARD, f"v{toolchain[1]}", patched=patched)] if toolchain else []
    for kind, *fields in rows:
        if kind not in ("mod", "dep", "=>"):
            continue
        path, version, hash1 = (*fields, "", "")[:3]
        if kind == "mod" and not hash1:  # this repository's
            continue
        before = result.pop() if kind == "=>" else None
        if before and f"/{PLACE}/" in path:
            version = path.rpartition("@")[2]
            result.append(Linked(before.path, version, recorded_hash(before.path, version), patched=True))
        else:
            result.append(Linked(path, version, hash1))
    return [module for module in result if not module.path.startswith(".")]


def recorded_hash(path: str, version: str) -> str:
    """The h1 hash of a module of the payload in its go.sum, "" when it is not there."""
    lines = GO_SUM.read_text(encoding="utf-8").splitlines()
    return next((line.split()[2] for line in lines if line.startswith(f"{path} {version} ")), "")


def part(module: Linked, licences: Collection[str], changes: Sequence[str], suffix: str) -> Part:
    """One module as a part of a product."""
    digest = base64.b64decode(module.hash1.removeprefix("h1:")).hex()
    licence = " AND ".join(sorted(licences)) or NOASSERTION
    version = module.version + (suffix if changes else "")
    source = f"{module.path}@{module.version}"
    return Part(module.path, "module", version, source, digest, licence, tuple(changes))


def folder(module: Linked) -> Path:
    """Where a module's files lie in the module cache: capitals are written as ! and the small letter."""
    if module.path == STANDARD:
        return toolchain_folder(f"go{module.version.removeprefix('v')}")
    escaped = re.sub(r"[A-Z]", lambda match: "!" + match[0].lower(), f"{module.path}@{module.version}")
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
