"""The Go toolchain that compiles a program, with changes to its own library if the program wants some."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from tasks.lib.go.patch import TOOLCHAIN, Patch, replace
from tasks.lib.paths import cache_dir
from tasks.lib.process import run


def prepare(
    go: Path, module: Path, patches: Sequence[Patch], env: Mapping[str, str]
) -> tuple[Path, list[str], dict[str, str]]:
    """The go command, its further arguments and its environment, for a build with the toolchain's patches.

    go: the go command that fetches and starts the toolchain that `env` names. The toolchain is used through a
    symbolic link: go refuses to replace files in its module cache, where a fetched toolchain lies.

    Raises BuildError when the toolchain can not be fetched, or is not as the patches expect.
    """
    root = Path(run([go, "env", "GOROOT"], cwd=module, env=env).stdout.decode().strip())
    link = toolchain_folder(env["GOTOOLCHAIN"])
    folder = link.parent
    folder.mkdir(parents=True, exist_ok=True)
    lead(link, root)
    settings = {**env, "GOROOT": str(link), "GOTOOLCHAIN": "local"}
    wanted = [patch for patch in patches if patch.module == TOOLCHAIN]
    arguments = ["-overlay", str(overlay(wanted, root, link, folder))] if wanted else []
    return link / "bin" / "go", arguments, settings


def toolchain_folder(name: str) -> Path:
    """The link through which the toolchain `name`, such as go1.26.8, is used."""
    return cache_dir() / "go" / "pruned" / name / "root"


def lead(link: Path, root: Path) -> None:
    """Make the link lead to `root`; at every moment it leads somewhere, as other builds use it."""
    if link.is_symlink() and link.readlink() == root:
        return
    new = link.with_name(f".{link.name}-{os.getpid()}")
    new.unlink(missing_ok=True)
    new.symlink_to(root)
    new.replace(link)


def overlay(patches: Sequence[Patch], root: Path, link: Path, folder: Path) -> Path:
    """The file for go's -overlay.

    What is changed lies in a folder named by the changes, so that checkouts are not in each other's way.
    """
    mark = hashlib.sha256("".join(patch.diff for patch in patches).encode()).hexdigest()[:16]
    place = folder / mark
    listing = place / "overlay.json"
    if listing.exists():
        return listing
    with TemporaryDirectory(dir=folder) as scratch:
        made = Path(scratch, mark)
        changed: list[str] = []
        for patch in patches:
            for name in patch.files():
                (made / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(root / name, made / name)
                changed.append(name)
            patch.apply(made)
        replaced = {str(link / name): str(place / name) for name in changed}
        replace(made / listing.name, json.dumps({"Replace": replaced}))
        with suppress(OSError):  # another build was faster
            made.rename(place)
    return listing
