"""A machine with the Live CD, as its owner uses it: over SSH, with a key from a seed."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks import liveseed
from tasks.lib.errors import BuildError
from tasks.lib.vm.hardware import Hardware
from tasks.lib.vm.machine import Machine
from tasks.liveseed import Seed
from tests.vm.node import stretched
from tests.vm.shell import PORT, Key

EPOCH = 1795219200
HOST = "seeded"
# Of an emulated machine on an idle host, three times.
LOGIN_SECONDS = 180
DISK_BYTES = 12 << 30
MEMORY = 2048
# A fixed address, and what a cluster of kubeadm wants, though nobody answers there: a default route, and a
# name server that CoreDNS can forward to.
OUTSIDE = "52:54:00:12:34:56"
NETWORK = {
    "version": 2,
    "ethernets": {
        "outside": {
            "match": {"macaddress": OUTSIDE},
            "addresses": ["10.0.2.15/24"],
            "routes": [{"to": "0.0.0.0/0", "via": "10.0.2.2"}],
            "nameservers": {"addresses": ["10.0.2.3"]},
        }
    },
}
# The client's own words.
CAUTION = "dbclient: Caution, skipping hostkey check for 127.0.0.1\n"
ADMIN = "KUBECONFIG=/etc/kubernetes/admin.conf"


def blank_disk(path: Path, size: int = DISK_BYTES) -> Path:
    """A disk of nothing but zeros."""
    with path.open("wb") as stream:
        stream.truncate(size)
    return path


def write_seed(
    folder: Path,
    key: Key,
    hostname: str = HOST,
    run: Sequence[str] = (),
    network: Mapping[str, Any] = NETWORK,
) -> Path:
    """A seed with a key, and with no network but the fixed address."""
    path = folder / f"{hostname}.seed.iso"
    text = Seed(hostname, (key.public,), tuple(run)).user_data()
    liveseed.write_seed(text, network, path, EPOCH)
    return path


def hardware(medium: Path, seed: Path, disk: Path | None) -> Hardware:
    """A machine that reaches nothing, and whose SSH port can be reached."""
    return Hardware(cdrom=medium, seed=seed, data=disk, memory=MEMORY, forwards={PORT: 0})


@dataclass(frozen=True)
class LiveNode:
    """A running machine and the key to it."""

    machine: Machine
    key: Key
    hostname: str = HOST

    def wait_session(self) -> None:
        """Wait until the key opens a session."""
        deadline = time.monotonic() + stretched(LOGIN_SECONDS)
        while (said := self.try_session()) is not None:
            assert time.monotonic() < deadline, f"no session: {said}\n{self.machine.serial.tail()}"
            time.sleep(2)

    def try_session(self) -> str | None:
        """Why no session can be opened yet. Without a server there, the port answers nothing at all."""
        try:
            done = self.key.on(self.machine, "true", 10)
        except subprocess.TimeoutExpired:
            return "no answer"
        return None if done.returncode == 0 else done.stdout

    def run(self, command: str, seconds: float = 120) -> str:
        """What a command says; it has to succeed."""
        done = self.ask(command, seconds)
        assert done.returncode == 0, f"{command}: status {done.returncode}\n{done.stdout}"
        return done.stdout

    def ask(self, command: str, seconds: float = 120) -> subprocess.CompletedProcess[str]:
        """Run a command; its words and its exit status."""
        done = self.key.on(self.machine, command, seconds)
        done.stdout = done.stdout.replace(CAUTION, "").lstrip("\n")
        return done

    def kubectl(self, words: str, seconds: float = 120) -> str:
        """What kubectl says."""
        return self.run(f"{ADMIN} kubectl {words}", seconds)

    def wait(self, command: str, seconds: float, pause: float = 5) -> str:
        """Wait until a command succeeds; what it says then. Raises BuildError with its last words."""
        deadline = time.monotonic() + stretched(seconds)
        while True:
            try:
                done = self.ask(command)
                if done.returncode == 0:
                    return done.stdout
                said = done.stdout
            except subprocess.TimeoutExpired:
                said = "no answer"
            if time.monotonic() > deadline:
                raise BuildError(f"{command}: not within {stretched(seconds):.0f} s\n{said}")
            time.sleep(pause)

    def reboot(self) -> None:
        """Start the machine again, in order, and wait until it can be used."""
        self.ask("systemctl reboot")
        self.machine.wait_reset(stretched(120))
        self.wait_session()
