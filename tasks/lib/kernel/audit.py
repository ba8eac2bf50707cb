"""Kernel configurations, and the audit of what a kernel must offer."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tasks.lib.errors import BuildError
from tasks.lib.kernel.modules import module_name

SETTING = re.compile(r"CONFIG_(\w+)=(.*)")
OPTION = re.compile(r"[A-Z0-9][A-Za-z0-9_]*")
# Sections of audit.toml: their options are needed, wished for, or needed in the initramfs already.
LEVELS = ("mandatory", "recommended", "initramfs")


def parse_config(text: str) -> dict[str, str]:
    """The options of a .config that are set, without CONFIG_, with their values: y, m, numbers, "strings".

    Raises BuildError when there are none.
    """
    found = {match[1]: match[2] for line in text.splitlines() if (match := SETTING.fullmatch(line.strip()))}
    if not found:
        raise BuildError("kernel configuration: sets no option at all", "the kernel package is damaged")
    return found


@dataclass(frozen=True)
class Requirement:
    """One option: how much it is needed, and the modules that hold it when it is =m (none: must be =y)."""

    option: str
    level: str
    modules: tuple[str, ...]


def read_requirements(path: Path, conditions: Collection[str] = ()) -> list[Requirement]:
    """The requirements of audit.toml; its sections [when.NAME] count, as mandatory, for the given conditions.

    Raises BuildError naming the file, section and key.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BuildError(f"{path}: can not be read: {error.strerror}", "restore it from git") from error
    except tomllib.TOMLDecodeError as error:
        raise BuildError(f"{path}: is not valid TOML: {error}", "see https://toml.io") from error
    if unknown := sorted(document.keys() - {*LEVELS, "when"}):
        raise BuildError(f"{path}: unknown section [{unknown[0]}]", f"known: {', '.join(LEVELS)}, when.NAME")
    found = [item for level in LEVELS for item in section(path, level, document.get(level, {}), level)]
    extra = document.get("when", {})
    for name in sorted(set(conditions) & extra.keys()):
        found += section(path, f"when.{name}", extra[name], "mandatory")
    return found


def section(path: Path, name: str, table: object, level: str) -> list[Requirement]:
    """The requirements of one section: option = true (built in) or the name or names of its modules."""
    if not isinstance(table, dict):
        raise BuildError(f"{path}: {name} is not a section", f"write [{name}]")
    found = []
    for option, value in table.items():
        names = [] if value is True else [value] if isinstance(value, str) else value
        good = isinstance(names, list) and all(isinstance(item, str) and item for item in names)
        if not good or not OPTION.fullmatch(option):
            raise BuildError(f"{path}: {name}.{option}: {value!r} is not understood",
                             "allowed: OPTION = true, or a module's name, or a list of names")  # fmt: skip
        found.append(Requirement(option, level, tuple(module_name(item) for item in names)))
    return found


@dataclass(frozen=True)
class Finding:
    """What the audit found about one requirement; problem is empty when it is met."""

    requirement: Requirement
    value: str
    problem: str

    def __str__(self) -> str:
        return f"CONFIG_{self.requirement.option}: {self.problem}"


@dataclass(frozen=True)
class Report:
    """All findings, in order of the requirements."""

    findings: tuple[Finding, ...]

    def failures(self) -> list[str]:
        """One line for each requirement that is not met and must be."""
        return [
            str(item) for item in self.findings if item.problem and item.requirement.level != "recommended"
        ]

    def warnings(self) -> list[str]:
        """One line for each recommended option that is missing."""
        bad = [item for item in self.findings if item.problem and item.requirement.level == "recommended"]
        return [f"recommended, but not there: {item}" for item in bad]

    def table(self) -> str:
        """The findings as text, one a line: level, option, value, result."""
        rows = [
            (item.requirement.level, item.requirement.option, item.value or "not set", item.problem or "ok")
            for item in self.findings
        ]
        return "".join(
            f"{level:12} {option:32} {value:8} {result}\n" for level, option, value, result in rows
        )


def audit(
    config: Mapping[str, str],
    requirements: Sequence[Requirement],
    image: Collection[str],
    initramfs: Collection[str],
) -> Report:
    """Compare a kernel's configuration with the requirements.

    image, initramfs: names of the modules in the root and in the initramfs.
    """
    places = {"initramfs": ("the initramfs", initramfs)}
    findings = []
    for item in requirements:
        place, modules = places.get(item.level, ("the image", image))
        value = config.get(item.option, "")
        findings.append(Finding(item, value, problem(item, value, place, modules)))
    return Report(tuple(findings))


def problem(item: Requirement, value: str, place: str, modules: Collection[str]) -> str:
    """Why a requirement is not met; empty when it is. =m counts only with its modules in place."""
    if value in ("", "n"):
        return "not set"
    if value != "m":
        return ""
    if not item.modules:
        return "is =m, but must be built in (or kernel/audit.toml must name its module)"
    missing = [name for name in item.modules if name not in modules]
    return f"is =m, but {place} does not have {', '.join(missing)}.ko" if missing else ""
