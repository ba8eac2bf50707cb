"""Go modules that are changed in a few files while a program is compiled from them.

Go's -overlay refuses files of the module cache, so the changed module is a copy of the verified one, beside
what is compiled, and go.mod is replaced by one (go help build, -modfile) that points there. A program records
that path (go version -m), so it is given relative to the module: the same in every checkout.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tasks.lib.errors import BuildError
from tasks.lib.go.toolchain import replace
from tasks.lib.process import run

PLACE = "patched"  # name of the folder with the copies


@dataclass(frozen=True)
class Patch:
    """Changes to a file of a module: each text, which is there so many times, becomes another.

    module: its path, as in go.mod. file: below the module's root.
    """

    module: str
    file: str
    changes: tuple[tuple[str, int, str], ...]

    def apply(self, source: str) -> str:
        """The file's new text.

        Raises BuildError when a text is not there as often as it should be.
        """
        for old, times, new in self.changes:
            if (found := source.count(old)) != times:
                raise BuildError(
                    f"{self.module}/{self.file}: {old!r} is there {found} times instead of {times}",
                    "look what this version does there and adapt the patch",
                )
            source = source.replace(old, new)
        return source


def patch_modules(
    go: Path, module: Path, patches: Sequence[Patch], env: Mapping[str, str], place: Path
) -> list[str]:
    """Further arguments of `go build` with which the module in folder `module` is compiled with the patches.

    place: folder for the copies; what is in it is lost. Raises BuildError when a patched module can not be
    fetched, or is not as expected.
    """
    if not patches:
        return []
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    modules = dict.fromkeys(patch.module for patch in patches)
    folders = {name: copied(go, module, name, env, place) for name in modules}
    for patch in patches:
        path = folders[patch.module] / patch.file
        replace(path, patch.apply(path.read_text(encoding="utf-8")))
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
    """The folder of a copy of the module `name`, to be changed."""
    said = run([go, "mod", "download", "-json", name], cwd=module, env=env).stdout
    found = json.loads(said)
    folder = place / f"{name.replace('/', '-')}-{found['Version']}"
    copy_writable(Path(found["Dir"]), folder)
    return folder


def copy_writable(source: Path, target: Path) -> None:
    """Copy a folder of the module cache, which is read-only there."""
    shutil.copytree(source, target, copy_function=shutil.copyfile)
    for path in (target, *target.rglob("*")):
        if path.is_dir():
            path.chmod(0o755)
