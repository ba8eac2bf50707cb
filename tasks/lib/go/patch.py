"""Go modules, and files of Go's own library, that are changed while a program is compiled from them.

Each change is a file: a header, then a unified diff. Go's -overlay refuses files of the module cache, so a
changed module is a copy of the verified one, beside what is compiled, and go.mod is replaced by one (go help
build, -modfile) that points there. A program records that path (go version -m), so it is given relative to
the module: the same in every checkout.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile

from tasks.lib.errors import BuildError
from tasks.lib.process import run

PLACE = "patched"  # name of the folder with the copies
# Why it is there; the path of the module, as in go.mod, or TOOLCHAIN; the upstream report, or why there is
# none; what must be true upstream for it to go.
HEADER = ("Description", "Module", "Forwarded", "Drop-When")
TOOLCHAIN = "go"


@dataclass(frozen=True)
class Patch:
    """A change. module: what it changes. diff: the change itself, with paths below the module's root."""

    name: str
    module: str
    diff: str

    def files(self) -> list[str]:
        """The files that it changes, below the module's root; it makes and removes none."""
        import whatthepatch

        return [part.header.new_path.removeprefix("b/") for part in whatthepatch.parse_patch(self.diff)]

    def apply(self, folder: Path) -> None:
        """Change the files below `folder`.

        Raises BuildError when they are not as the patch expects.
        """
        import whatthepatch

        for name, part in zip(self.files(), whatthepatch.parse_patch(self.diff), strict=True):
            path = folder / name
            try:
                lines = whatthepatch.apply_diff(part, path.read_text(encoding="utf-8"))
            except (OSError, whatthepatch.exceptions.WhatThePatchException) as error:
                raise BuildError(
                    f"{self.name} does not fit {self.module}: {error}",
                    "look what this version does there and adapt the patch; its header says when to drop it",
                ) from error
            replace(path, "\n".join(lines) + "\n")


def read_patch(path: Path) -> Patch:
    """A patch file; BuildError when its header is not complete."""
    from email.parser import HeaderParser

    text = path.read_text(encoding="utf-8")
    head, mark, diff = text.partition("\n--- ")
    found = HeaderParser().parsestr(head)
    if missing := [name for name in HEADER if not found.get(name, "").strip()]:
        raise BuildError(f"{path}: its header lacks {', '.join(missing)}", "see the other patches")
    return Patch(path.name, found["Module"].strip(), mark.lstrip("\n") + diff)


def read_patches(paths: Sequence[Path]) -> list[Patch]:
    """Several patch files, in order of their names."""
    return [read_patch(path) for path in sorted(paths)]


def patch_modules(
    go: Path, module: Path, patches: Sequence[Patch], env: Mapping[str, str], place: Path
) -> list[str]:
    """Further arguments of `go build` with which the module in folder `module` is compiled with the patches.

    place: folder for the copies; what is in it is lost. Raises BuildError when a patched module can not be
    fetched, or is not as expected.
    """
    wanted = [patch for patch in patches if patch.module != TOOLCHAIN]
    if not wanted:
        return []
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    modules = dict.fromkeys(patch.module for patch in wanted)
    folders = {name: copied(go, module, name, env, place) for name in modules}
    for patch in wanted:
        patch.apply(folders[patch.module])
    edits = [f"-replace={name}={seen_from(module, folder)}" for name, folder in folders.items()]
    for name in ("go.mod", "go.sum"):
        shutil.copyfile(module / name, place / name)
    run([go, "mod", "edit", *edits, place / "go.mod"], cwd=module, env=env)
    return ["-modfile", str(place / "go.mod")]


def seen_from(module: Path, folder: Path) -> str:
    """The folder's path for go.mod, which wants a dot in front of what is no module's name."""
    path = os.path.relpath(folder, module)
    return path if path.startswith("..") else f"./{path}"


def copied(go: Path, module: Path, name: str, env: Mapping[str, str], place: Path) -> Path:
    """The folder of a copy of the module `name`, to be changed; its name ends in @ and the version."""
    said = run([go, "mod", "download", "-json", name], cwd=module, env=env).stdout
    found = json.loads(said)
    folder = place / f"{name.replace('/', '-')}@{found['Version']}"
    copy_writable(Path(found["Dir"]), folder)
    return folder


def copy_writable(source: Path, target: Path) -> None:
    """Copy a folder of the module cache, which is read-only there."""
    shutil.copytree(source, target, copy_function=shutil.copyfile)
    for path in (target, *target.rglob("*")):
        if path.is_dir():
            path.chmod(0o755)


def replace(path: Path, text: str) -> None:
    """Write a file at once, as several builds may do it at the same time; not when it is the same already."""
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return
    with NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, delete=False) as new:
        new.write(text)
    Path(new.name).replace(path)
