"""A running node, as its files below /run, /proc and the data partition tell it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

MARKER = "stage-90-kubesolo"


@dataclass(frozen=True)
class Node:
    """A node whose root is `root`; every question is answered with "" or nothing where a file is missing."""

    root: Path = Path("/")

    def text(self, name: str) -> str:
        """The content of a file, without its last line end."""
        try:
            return (self.root / name).read_text(errors="replace").rstrip("\n")
        except OSError:
            return ""

    def pairs(self, name: str) -> dict[str, str]:
        """A file of KEY=VALUE lines; quotes around values are taken off."""
        rows = (line.partition("=") for line in self.text(name).splitlines() if "=" in line)
        return {key: value.strip("\"'") for key, _, value in rows}

    def release(self) -> dict[str, str]:
        """os-release(5)."""
        return self.pairs("usr/lib/os-release")

    def milestones(self) -> dict[str, float]:
        """What has been reached, and when last, in seconds since the kernel started."""
        found = {}
        for line in self.text("run/kubesolo/milestones").splitlines():
            name, _, seconds = line.partition(" ")
            try:
                found[name] = float(seconds)
            except ValueError:
                continue
        return found

    def parameter(self, name: str) -> str:
        """A parameter of the kernel's command line."""
        for word in self.text("proc/cmdline").split():
            key, _, value = word.partition("=")
            if key == name:
                return value
        return ""

    def problems(self) -> list[str]:
        """What the boot and the network complain about."""
        try:
            paths = sorted((self.root / "run/kubesolo/problems").iterdir())
        except OSError:
            return []
        return [text for path in paths if (text := self.text(str(path.relative_to(self.root))))]

    def alive(self, name: str) -> bool:
        """Whether the process that a .pid file below /run/kubesolo names runs."""
        number = self.text(f"run/kubesolo/{name}.pid")
        return number.isdigit() and (self.root / "proc" / number).is_dir()
