"""What became of each spec: kept on disk after every batch, so that a run can go on where another stopped."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from xml.etree import ElementTree

from tasks.lib.errors import BuildError

PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"
STATES = (PASSED, FAILED, SKIPPED)


@dataclass(frozen=True)
class Verdict:
    """state: one of STATES. seconds: what it took. reason: why it failed or was skipped; "" when passed."""

    state: str
    seconds: float
    reason: str = ""


class Verdicts:
    """The verdicts of one version of the suite."""

    def __init__(self, path: Path, version: str) -> None:
        """Take over what is at `path`. Raises BuildError when it is of another version, or damaged."""
        self._path = path
        self._version = version
        self.found: dict[str, Verdict] = {}
        if path.exists():
            self._read()

    def _read(self) -> None:
        hint = "leave --resume out to begin anew"
        try:
            kept = json.loads(self._path.read_text())
            if kept["version"] != self._version:
                raise BuildError(f"{self._path}: verdicts of {kept['version']}, not {self._version}", hint)
            self.found = {name: Verdict(**fields) for name, fields in kept["specs"].items()}
        except (ValueError, KeyError, TypeError) as error:
            raise BuildError(f"{self._path}: damaged: {error}", hint) from error

    def add(self, new: Mapping[str, Verdict]) -> None:
        """Take verdicts in; they are on the disk when this returns."""
        self.found.update(new)
        specs = {name: asdict(verdict) for name, verdict in sorted(self.found.items())}
        scratch = self._path.with_suffix(".new")
        with scratch.open("w") as stream:
            json.dump({"version": self._version, "specs": specs}, stream, indent=1)
            stream.flush()
            os.fsync(stream.fileno())
        scratch.replace(self._path)

    def missing(self, names: Iterable[str], *, again: bool = False) -> list[str]:
        """The specs without a verdict; again: those that failed, too."""
        return [
            name
            for name in names
            if (verdict := self.found.get(name)) is None or (again and verdict.state == FAILED)
        ]

    def of(self, names: Iterable[str]) -> dict[str, Verdict]:
        """The verdicts on these specs."""
        return {name: self.found[name] for name in names if name in self.found}


def summary(names: Iterable[str], found: Mapping[str, Verdict]) -> str:
    """What became of these specs, with the reasons of those that did not pass."""
    listed = list(names)
    lines = []
    for state in (SKIPPED, FAILED):
        for name in listed:
            if name in found and found[name].state == state:
                lines += [f"{state}: {name}", f"    {found[name].reason}"]
    counts = Counter(found[name].state for name in listed if name in found)
    words = [f"{counts[state]} {state}" for state in STATES]
    left = len(listed) - counts.total()
    return "\n".join([*lines, f"{', '.join(words)}, {left} not run, of {len(listed)}"])


def write_junit(path: Path, found: Mapping[str, Verdict]) -> None:
    """All verdicts as one JUnit report; the suite's own reports are one for each batch."""
    counts = Counter(verdict.state for verdict in found.values())
    suite = ElementTree.Element(
        "testsuite",
        name="Kubernetes e2e suite",
        tests=str(len(found)),
        failures=str(counts[FAILED]),
        skipped=str(counts[SKIPPED]),
        time=f"{sum(verdict.seconds for verdict in found.values()):.1f}",
    )
    for name, verdict in sorted(found.items()):
        case = ElementTree.SubElement(suite, "testcase", name=name, time=f"{verdict.seconds:.1f}")
        if verdict.state != PASSED:
            kind = "failure" if verdict.state == FAILED else "skipped"
            ElementTree.SubElement(case, kind, message=printable(verdict.reason))
    scratch = path.with_suffix(".new")
    ElementTree.ElementTree(suite).write(scratch, encoding="utf-8", xml_declaration=True)
    scratch.replace(path)


def printable(text: str) -> str:
    """A text without the control characters that XML can not hold."""
    return "".join(letter for letter in text if letter >= " " or letter in "\t\n")
