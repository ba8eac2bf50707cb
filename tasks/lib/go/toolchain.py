"""A Go toolchain whose linker leaves out the methods that nothing calls, also from a program with templates.

Go's linker keeps every exported method of every type as soon as one reachable function calls a method by a
name that the compiler does not know (`go doc reflect.Value.MethodByName`). text/template has such a call, for
fields such as {{.Name}} that are methods; it alone makes Kubernetes' program 24 MB longer. Here that call
goes through a variable, which the compiler does not see through. Methods that templates do call must then be
named in the program, as in payload/templates.go: one that was left out ends the program when it is called.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile

from tasks.lib.errors import BuildError
from tasks.lib.paths import cache_dir
from tasks.lib.process import run

TEMPLATES = Path("src", "text", "template", "exec.go")
CALL = "ptr.MethodByName(fieldName)"
INDIRECT = "methodByName(ptr, fieldName)"
VARIABLE = "\nvar methodByName = reflect.Value.MethodByName\n"


def prune(go: Path, module: Path, env: Mapping[str, str]) -> tuple[Path, list[str], dict[str, str]]:
    """The go command, its further arguments and its environment, for a build that leaves methods out.

    go: the go command that fetches and starts the toolchain that `env` names. The toolchain is used through a
    symbolic link: go refuses to replace files in its module cache, where a fetched toolchain lies.

    Raises BuildError when the toolchain can not be fetched, or its text/template is not as expected.
    """
    root = Path(run([go, "env", "GOROOT"], cwd=module, env=env).stdout.decode().strip())
    folder = cache_dir() / "go" / "pruned" / env["GOTOOLCHAIN"]
    folder.mkdir(parents=True, exist_ok=True)
    link = folder / "root"
    if not link.is_symlink() or link.readlink() != root:
        with suppress(FileNotFoundError):
            link.unlink()
        with suppress(FileExistsError):  # another build was faster
            link.symlink_to(root)
    changed = folder / TEMPLATES.name
    replace(changed, change((root / TEMPLATES).read_text(encoding="utf-8")))
    overlay = folder / "overlay.json"
    replace(overlay, json.dumps({"Replace": {str(link / TEMPLATES): str(changed)}}))
    return (
        link / "bin" / "go",
        ["-overlay", str(overlay)],
        {**env, "GOROOT": str(link), "GOTOOLCHAIN": "local"},
    )


def change(source: str) -> str:
    """text/template's exec.go with its call by name made indirect.

    Raises BuildError when that call is not there exactly once.
    """
    if source.count("MethodByName(") != 1 or source.count(CALL) != 1:
        raise BuildError(
            f"{TEMPLATES}: {CALL} is not there exactly once in this Go toolchain",
            "look how text/template calls methods now and adapt tasks/lib/go/toolchain.py",
        )
    return source.replace(CALL, INDIRECT) + VARIABLE


def replace(path: Path, text: str) -> None:
    """Write a file at once, as several builds may do it at the same time; not when it is the same already."""
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return
    with NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, delete=False) as new:
        new.write(text)
    Path(new.name).replace(path)
