"""Go modules that are changed in one file while a program is compiled from them.

Go's -overlay refuses files of the module cache, so the changed module is a copy of the verified one, in the
checkout's build folder, and go.mod is replaced by one (go help build, -modfile) that points there. A program
records that path (go version -m), so it is given relative to the module: the same in every checkout.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

from tasks.lib.errors import BuildError
from tasks.lib.paths import BUILD
from tasks.lib.process import run
from tasks.lib.pruning import replace


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


def patch_modules(go: Path, module: Path, patches: Sequence[Patch], env: Mapping[str, str]) -> list[str]:
    """Further arguments of `go build` with which the module in folder `module` is compiled with the patches.

    Raises BuildError when a patched module can not be fetched, or is not as expected.
    """
    if not patches:
        return []
    edits = [
        f"-replace={patch.module}={seen_from(module, patched(go, module, patch, env))}" for patch in patches
    ]
    go_mod, go_sum = ((module / name).read_bytes() for name in ("go.mod", "go.sum"))
    key = hashlib.sha256(b"\0".join([go_mod, go_sum, *(edit.encode() for edit in edits)])).hexdigest()[:16]
    folder = BUILD / "patched" / key
    if not folder.is_dir():
        with becoming(folder) as scratch:
            (scratch / "go.mod").write_bytes(go_mod)
            (scratch / "go.sum").write_bytes(go_sum)
            run([go, "mod", "edit", *edits, scratch / "go.mod"], cwd=module, env=env)
    return ["-modfile", str(folder / "go.mod")]


def seen_from(module: Path, folder: Path) -> str:
    """The folder's path for go.mod, which wants a dot in front of what is no module's name."""
    path = os.path.relpath(folder, module)
    return path if path.startswith("..") else f"./{path}"


def patched(go: Path, module: Path, patch: Patch, env: Mapping[str, str]) -> Path:
    """The folder of the module with its patch."""
    said = run([go, "mod", "download", "-json", patch.module], cwd=module, env=env).stdout
    found = json.loads(said)
    text = patch.apply((Path(found["Dir"]) / patch.file).read_text(encoding="utf-8"))
    key = hashlib.sha256(f"{found['Sum']}\0{text}".encode()).hexdigest()[:16]
    folder = BUILD / "patched" / f"{patch.module.replace('/', '-')}-{found['Version']}-{key}"
    if not folder.is_dir():
        with becoming(folder) as scratch:
            copy_writable(Path(found["Dir"]), scratch)
            replace(scratch / patch.file, text)
    return folder


def copy_writable(source: Path, target: Path) -> None:
    """Copy a folder of the module cache, which is read-only there, into an existing one."""
    shutil.copytree(source, target, dirs_exist_ok=True, copy_function=shutil.copyfile)
    for path in (target, *target.rglob("*")):
        if path.is_dir():
            path.chmod(0o755)


@contextmanager
def becoming(folder: Path) -> Iterator[Path]:
    """A new folder beside `folder`, which gets its name when it is finished and goes when it is not."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(mkdtemp(dir=folder.parent))
    try:
        yield scratch
        scratch.chmod(0o755)
        scratch.rename(folder)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):  # another build was faster
            raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
