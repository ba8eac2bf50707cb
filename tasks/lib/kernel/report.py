"""The report about chosen modules: size of each section, drivers that ask for firmware, unmet softdeps."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tasks.lib.errors import BuildError
from tasks.lib.kernel.modules import Kernel, Selection, close, module_name

Sections = Mapping[str, list[str]]


@dataclass(frozen=True)
class ModuleReport:
    """The text, and what the user should hear at once."""

    text: str
    warnings: tuple[str, ...]


def read_firmware(path: Path) -> dict[str, str]:
    """firmware.toml: drivers that ask for firmware files, each with what works without them.

    Raises BuildError naming file and key.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BuildError(f"{path}: can not be read: {error.strerror}", "restore it from git") from error
    except tomllib.TOMLDecodeError as error:
        raise BuildError(f"{path}: is not valid TOML: {error}", "see https://toml.io") from error
    notes: dict[str, str] = {}
    for name, table in document.items():
        if name not in ("included", "left-out") or not isinstance(table, dict):
            raise BuildError(f"{path}: unknown section [{name}]", "known: included, left-out")
        for driver, text in table.items():
            if not isinstance(text, str):
                raise BuildError(
                    f"{path}: {name}.{driver}: is not a text", "say what works without the firmware"
                )
            if name == "included":
                notes[module_name(driver)] = text
    return notes


def report(
    kernel: Kernel, trees: Mapping[str, tuple[Sections, Selection]], firmware: Mapping[str, str]
) -> ModuleReport:
    """The report on the trees, by name. firmware: notes about drivers that ask for firmware files."""
    lines = [
        f"Modules of kernel {kernel.release}. packed: bytes as the kernel package compresses each alone.",
        "",
    ]
    for name, (sections, selection) in trees.items():
        lines += [f"{name}: section, modules (with dependencies), bytes raw, bytes packed"]
        lines += section_lines(kernel, sections, selection)
        lines += [""]
    full = next(iter(trees.values()))[1]
    asking = {module.name: module for module in full.modules.values() if module.firmware}
    lines += ["Drivers here that ask for firmware files, which the image does not have:"]
    for name, module in asking.items():
        lines += [f"  {name}: {firmware.get(name, 'not described in firmware.toml')}"]
        lines += [f"    {file}" for file in module.firmware]
    warnings = [
        f"{name} asks for firmware: say in kernel/firmware.toml what works without it"
        for name in asking
        if name not in firmware
    ]
    lines += ["", "Softdeps that nothing in the tree answers:"]
    lines += [f"  {name}: {word}" for name, word in full.unmet] or ["  none"]
    return ModuleReport("\n".join(lines) + "\n", tuple(warnings))


def section_lines(kernel: Kernel, sections: Sections, selection: Selection) -> Iterable[str]:
    """A line for each section, with the dependencies that it is the first to need, and the sum."""
    seen: set[str] = set()
    groups = {name: close(kernel, names).modules for name, names in sections.items()}
    groups["other"] = selection.modules
    for name, modules in groups.items():
        new = modules.keys() - seen
        seen |= new
        if new:
            yield size_line(kernel, selection, name, new)
    yield size_line(kernel, selection, "all", selection.modules.keys())


def size_line(kernel: Kernel, selection: Selection, label: str, names: Iterable[str]) -> str:
    """Label, number and sizes of modules."""
    names = list(names)
    raw = sum(len(selection.modules[name].data) for name in names)
    packed = sum(kernel.entry(name).size() for name in names)
    return f"  {label:32} {len(names):5} {raw:11} {packed:10}"
