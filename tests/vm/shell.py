"""Commands on a node, over SSH, as its owner gives them."""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from tasks.lib.debian import tools
from tasks.lib.process import run
from tasks.lib.vm.machine import Machine
from tests.vm.node import stretched

PORT = 22


def program(*words: str | Path) -> list[str | Path]:
    """The SSH client or key maker of the tests' packages."""
    name, *rest = words
    return [*tools.command(str(name), set="tests"), *rest]


@dataclass(frozen=True)
class Key:
    """A private key's file, and the line of the public one."""

    private: Path
    public: str

    @staticmethod
    def make(folder: Path) -> Key:
        """A new one."""
        path = folder / "id"
        run(program("dropbearkey", "-t", "ed25519", "-f", path))
        text = run(program("dropbearkey", "-y", "-f", path)).stdout.decode()
        return Key(path, next(line for line in text.splitlines() if line.startswith("ssh-ed25519 ")))

    def configuration(self) -> str:
        """Lets the key in."""
        return f"ssh:\n  enabled: true\n  authorized_keys:\n    - {self.public}\n"

    def wait(self, machine: Machine, seconds: float = 60) -> None:
        """Until the node lets somebody in."""
        deadline = time.monotonic() + stretched(seconds)
        while str(PORT) not in machine.host.ask("ports").split():
            assert time.monotonic() < deadline, f"nobody listens on port {PORT}: {machine.host.ask('log')}"
            time.sleep(1)

    def words(self, machine: Machine) -> list[str | Path]:
        """The command line that a command is added to."""
        port = str(machine.port(PORT))
        return program("dbclient", "-y", "-y", "-T", "-i", self.private, "-p", port, "root@127.0.0.1")

    def on(self, machine: Machine, command: str, seconds: float = 120) -> subprocess.CompletedProcess[str]:
        """Run a command to its end; its words and its exit status."""
        return subprocess.run(
            [str(word) for word in [*self.words(machine), command]],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=stretched(seconds),
            check=False,
        )
