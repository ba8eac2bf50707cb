"""Python modules without their sources: compiled files where the sources were (PEP 3147, "legacy")."""

from __future__ import annotations

from pathlib import Path

from tasks.lib.debian import tools
from tasks.lib.formats.tree import Tree
from tasks.lib.process import run

PROGRAM = Path(__file__).with_name("bytecode_program.py")
# Whose Python compiles.
SET = "parted"


def compiled(sources: Tree, scratch: Path) -> Tree:
    """A tree with every .py file compiled and all else as it was; the same bytes for the same sources.

    scratch: an existing folder. Raises BuildError naming the file that can not be compiled.
    """
    folder = scratch / "sources"
    modules = [path for path, entry in sources.items() if entry.kind == "file" and path.endswith(".py")]
    for path in modules:
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(sources[path].read())
    run([*tools.python(SET), "-S", PROGRAM, folder], env={"PYTHONHASHSEED": "0"})
    result = sources.only(lambda path: path not in modules)
    for path in modules:
        result.add_file(f"{path}c", (folder / f"{path}c").read_bytes())
    return result
