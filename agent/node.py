"""A running node, as its files below /run, /proc and the data partition tell it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

MARKER = "stage-90-kubesolo"
ANSWER_SECONDS = 20


@dataclass(frozen=True)
class Node:
    """A node whose root is `root`; every question is answered with "" or nothing where a file is missing.

    shell: the command that runs its scripts.
    """

    root: Path = Path("/")
    shell: tuple[str, ...] = ("/bin/sh",)

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

    def health(self) -> dict[str, str]:
        """How it is, in the words of everybody who shows it: name, address, interface, data, state.

        From /usr/lib/kubesolo-os/health; empty when that can not be run.
        """
        import subprocess

        program = self.root / "usr/lib/kubesolo-os/health"
        place = "" if self.root == Path("/") else str(self.root)
        try:
            done = subprocess.run(
                [*self.shell, str(program)],
                env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "ROOT": place},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=ANSWER_SECONDS,
                check=True,
            )
        except (OSError, subprocess.SubprocessError):
            return {}
        rows = (line.partition(" ") for line in done.stdout.decode(errors="replace").splitlines())
        return {key: value for key, _, value in rows}
