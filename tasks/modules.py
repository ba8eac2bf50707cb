"""The curated module trees: one for the root, a small one for the initramfs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tasks import kernel
from tasks.lib.arch import AMD64
from tasks.lib.debian import tools
from tasks.lib.engine import Build, artifact
from tasks.lib.formats.tree import Tree
from tasks.lib.kernel.lists import read_list, select
from tasks.lib.kernel.modules import MODULES, Kernel, Selection, close, index, with_softdeps
from tasks.lib.kernel.report import read_firmware, report
from tasks.lib.kernel.strip import strip_modules
from tasks.lib.paths import TOP
from tasks.lib.target import Target

LISTS = TOP / "kernel"
FIRMWARE = LISTS / "firmware.toml"
INITRAMFS_MODULES = "lib/modules"
# What BusyBox's modprobe reads.
BUSYBOX_FILES = ("modules.alias", "modules.builtin", "modules.dep")


@dataclass(frozen=True)
class Programs:
    """The words that start the programs of the tools trees that are needed here."""

    depmod: list[str] = field(default_factory=lambda: tools.command("depmod"))
    strip: list[str] = field(default_factory=lambda: tools.command(f"{AMD64.triplet}-strip", "binutils"))


def programs(triplet: str) -> Programs:
    """Those for modules of an architecture."""
    return Programs(strip=tools.command(f"{triplet}-strip", "binutils"))


def build_modules(
    everything: Path, conditions: tuple[str, str], triplet: str, lenient: bool, b: Build
) -> None:
    """Write the tar for the root, the tar for the initramfs, and the report.

    lenient: what the kernel does not have is said, and left to the audit.
    """
    source = Tree()
    source.add_tar(everything)
    choose_modules(Kernel(source), conditions, LISTS, programs(triplet), b.epoch, b, lenient=lenient)


def choose_modules(
    kernel: Kernel,
    conditions: tuple[str, str],
    lists: Path,
    programs: Programs,
    epoch: int,
    b: Build,
    *,
    lenient: bool = False,
) -> None:
    """Choose, index and pack the modules of one kernel.

    conditions: flavour and architecture; the flavour names the list, sections can be for either.
    The root gets the initramfs' modules as well: they are loaded already, but modprobe must know them.
    Raises BuildError when a list asks for what the kernel does not have; when lenient, that is noted.
    """
    missing = b.note if lenient else None
    early = select(read_list(lists / "initramfs.modules", conditions), kernel, missing)
    sections = select(read_list(lists / f"{conditions[0]}.modules", conditions), kernel, missing)
    small = close(kernel, [name for names in early.values() for name in names])
    full = close(kernel, [*small.modules, *(name for names in sections.values() for name in names)])
    files = strip_modules(full.modules.values(), programs.strip, b.scratch / "stripped")
    root, initramfs, text = b.outs
    indexed = index(kernel, full, programs.depmod, b.scratch / "root")
    root_tree(kernel, full, indexed, files).write_tar(root, epoch)
    indexed = index(kernel, small, programs.depmod, b.scratch / "initramfs")
    initramfs_tree(kernel, small, indexed, files).write_tar(initramfs, epoch)
    firmware = read_firmware(lists / "firmware.toml")
    result = report(kernel, {"root": (sections, full), "initramfs": (early, small)}, firmware)
    for warning in result.warnings:
        b.note(f"modules: {warning}")
    text.write_text(result.text)


def root_tree(
    kernel: Kernel, selection: Selection, indexes: dict[str, bytes], files: dict[str, Path]
) -> Tree:
    """usr/lib/modules/<release>/ with all of depmod's files and the kernel's configuration."""
    tree = module_tree(MODULES, kernel, selection, indexes, files)
    tree.add_file(f"{kernel.folder}/config", kernel.text("config"))
    return tree


def initramfs_tree(
    kernel: Kernel, selection: Selection, indexes: dict[str, bytes], files: dict[str, Path]
) -> Tree:
    """lib/modules/<release>/ with what BusyBox's modprobe reads."""
    kept = {name: data for name, data in indexes.items() if name in BUSYBOX_FILES}
    return module_tree(INITRAMFS_MODULES, kernel, selection, kept, files)


def module_tree(
    place: str, kernel: Kernel, selection: Selection, indexes: dict[str, bytes], files: dict[str, Path]
) -> Tree:
    """A folder <place>/<release>/ with modules and index files."""
    tree = Tree()
    for module in selection.modules.values():
        tree.add_file(f"{place}/{kernel.release}/{module.path}", files[module.name], 0o644)
    for name, data in indexes.items():
        tree.add_file(f"{place}/{kernel.release}/{name}", data)
    # Only BusyBox's modprobe reads this text, and it knows no softdeps; kmod's reads the binary indexes.
    dep = with_softdeps(indexes["modules.dep"].decode(), selection)
    tree.add_file(f"{place}/{kernel.release}/modules.dep", dep)
    return tree


def tasks(target: Target) -> Iterator[dict[str, object]]:
    """The module trees of a kernel."""
    conditions = (kernel.module_list(target), target.arch.name)
    yield artifact(
        target.task("modules"),
        doc="curated kernel modules for the root and the initramfs, with sizes and firmware needs",
        build=partial(
            build_modules,
            kernel.everything(target),
            conditions,
            target.arch.triplet,
            target.kernel in kernel.LENIENT,
        ),
        targets=[kernel.modules(target), kernel.initramfs_modules(target), kernel.modules_report(target)],
        files=[kernel.everything(target), FIRMWARE, *sorted(LISTS.glob("*.modules"))],
        values={"epoch": target.epoch},
        tools=["tools", "binutils"],
        group=target.group,
    )
