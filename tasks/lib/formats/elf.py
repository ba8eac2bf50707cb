"""Which shared libraries a program needs, looked up inside a tree (System V ABI, ld.so(8))."""

from __future__ import annotations

import io
import posixpath
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tasks.lib.errors import BuildError
from tasks.lib.formats.tree import Tree

if TYPE_CHECKING:
    from elftools.elf.dynamic import DynamicSection

MAGIC = b"\x7fELF"


@dataclass(frozen=True)
class Linking:
    """What an ELF file asks of the dynamic loader.

    machine: e_machine and class, e.g. ("EM_X86_64", 64). needed: DT_NEEDED names. search: DT_RUNPATH or
    DT_RPATH folders as they stand in the file. loader: PT_INTERP path or "".
    """

    machine: tuple[str, int]
    needed: tuple[str, ...]
    search: tuple[str, ...]
    loader: str


def linking(data: bytes) -> Linking | None:
    """Parse an ELF file's dynamic section; None when the bytes are no ELF file."""
    if not data.startswith(MAGIC):
        return None
    from elftools.elf.dynamic import DynamicSection
    from elftools.elf.elffile import ELFFile

    elf = ELFFile(io.BytesIO(data))
    loader = ""
    for segment in elf.iter_segments("PT_INTERP"):
        loader = segment.data().rstrip(b"\0").decode()
    section = elf.get_section_by_name(".dynamic")
    if not isinstance(section, DynamicSection):
        return Linking((elf["e_machine"], elf.elfclass), (), (), loader)
    search = strings(section, "runpath") or strings(section, "rpath")
    folders = tuple(folder for text in search for folder in text.split(":") if folder)
    return Linking((elf["e_machine"], elf.elfclass), strings(section, "needed"), folders, loader)


def strings(section: DynamicSection, name: str) -> tuple[str, ...]:
    """The values of the dynamic section's entries of one kind (needed, runpath, rpath), in file order."""
    return tuple(str(getattr(tag, name)) for tag in section.iter_tags(f"DT_{name.upper()}"))


def closure(tree: Tree, programs: Iterable[str], folders: Iterable[str]) -> list[str]:
    """The programs and everything that they need to run, as paths of the tree, sorted.

    programs: paths in the tree, symlinks allowed; libraries that are opened at run time (dlopen) are to be
    named here too. folders: where the loader looks by default, e.g. usr/lib/x86_64-linux-gnu.
    Symlinks on the way (libfoo.so.1 -> libfoo.so.1.2) are part of the result.
    Raises BuildError naming program and library when one is missing from the tree.
    """
    taken: set[str] = set()
    todo = [(path, "the list of programs") for path in programs]
    while todo:
        path, wanted_by = todo.pop()
        if not tree.has(path):
            raise BuildError(f"{path} is wanted by {wanted_by}, but no package of the set has it")
        links = chain(tree, path)
        if links[-1] in taken:
            taken.update(links)
            continue
        taken.update(links)
        found = linking(tree[links[-1]].read()) if tree[links[-1]].kind == "file" else None
        if found is not None:
            todo.extend((needed, links[-1]) for needed in libraries(tree, links[-1], found, list(folders)))
    return sorted(taken)


def chain(tree: Tree, path: str) -> list[str]:
    """The path, each symlink target on its way, and last the file itself; all must be in the tree."""
    name = tree.locate(path)
    found = [name]
    while tree[name].kind == "symlink":
        name = tree.hop(name)
        found.append(name)
    return found


def libraries(tree: Tree, path: str, found: Linking, folders: list[str]) -> list[str]:
    """Where in the tree the loader and the needed libraries of one ELF file lie."""
    origin = posixpath.dirname(path)
    own = [folder.replace("${ORIGIN}", origin).replace("$ORIGIN", origin) for folder in found.search]
    result = [found.loader] if found.loader else []
    for name in found.needed:
        for folder in [*own, *folders]:
            candidate = posixpath.normpath(posixpath.join("/", folder, name)).lstrip("/")
            if tree.has(candidate) and same_machine(tree, candidate, found):
                result.append(candidate)
                break
        else:
            raise BuildError(f"{name} is needed by {path}, but no package of the set has it")
    return result


def same_machine(tree: Tree, path: str, wanted: Linking) -> bool:
    """Whether the file is an ELF file for the same processor and word size."""
    found = linking(tree[tree.resolve(path)].read())
    return found is not None and found.machine == wanted.machine
