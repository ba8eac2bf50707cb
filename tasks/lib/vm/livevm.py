"""The machines of live-vm: one or two with the Live CD, each with a disk that is kept."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from tasks.lib.debian import tools
from tasks.lib.errors import BuildError
from tasks.lib.paths import BUILD
from tasks.lib.process import run
from tasks.lib.vm.accel import Acceleration
from tasks.lib.vm.console import keys_unprocessed, relay, show
from tasks.lib.vm.hardware import LOOPBACK, Hardware
from tasks.lib.vm.machine import Machine, alive
from tasks.lib.vm.session import GUEST_SSH, SSH, next_free, signals_to

FOLDER = BUILD / "live-vm"
# Of the machines' second cards, which are on one wire.
MAC = "52:54:00:6b:38:{:02x}"
POWEROFF_SECONDS = 90


@dataclass(frozen=True)
class Setup:
    """What all machines have in common. memory: in MiB; disk_size: of a new disk, in MiB."""

    iso: Path
    memory: int
    cpus: int
    disk_size: int
    uefi: bool = False
    vnc: int | None = None


def disk(folder: Path, number: int) -> Path:
    """The disk of a machine; 1 is the first."""
    return folder / ("var.qcow2" if number == 1 else f"var-{number}.qcow2")


def forget(folder: Path) -> None:
    """Remove all disks and the token of their cluster: the next machines begin anew."""
    for path in (*folder.glob("var*.qcow2"), token(folder)):
        path.unlink(missing_ok=True)


def token(folder: Path) -> Path:
    """Where the token is kept that lets machines join the cluster."""
    return folder / "token"


def keep_disk(path: Path, size: int) -> None:
    """A blank disk that takes the machine's writes; one that is there already stays. size: in MiB."""
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.part")
    words: list[str | Path] = ["create", "-q", "-f", "qcow2", scratch, f"{size}M"]
    run([*tools.command("qemu-img", set="qemu"), *words])
    scratch.rename(path)


def hardware(setup: Setup, folder: Path, number: int, seed: Path, port: int, *, wired: bool) -> Hardware:
    """One machine. port: the host's that leads to its SSH server; wired: whether it has the second card."""
    wire = tuple(folder / f"wire-{end}.socket" for end in ((1, 2) if number == 1 else (2, 1)))
    return Hardware(
        memory=setup.memory,
        cpus=setup.cpus,
        firmware="uefi" if setup.uefi else "bios",
        cdrom=setup.iso,
        seed=seed,
        data=disk(folder, number),
        data_format="qcow2",
        data_cache="writeback",
        network="user",
        wire=(wire[0], wire[1]) if wired else None,
        wire_mac=MAC.format(number) if wired else "",
        forwards={GUEST_SSH: port},
        vnc=setup.vnc if number == 1 else None,
    )


def running(folder: Path = FOLDER) -> int:
    """The process that runs machines on these disks, or 0."""
    try:
        found = int(json.loads((folder / "machine.json").read_text())["pid"])
    except (OSError, ValueError, TypeError, KeyError):
        return 0
    return found if alive(found) else 0


def run_machines(
    setup: Setup, seeds: Sequence[Path], accelerator: Acceleration, folder: Path = FOLDER
) -> None:
    """Start a machine for each seed, the terminal being the first one's console; stay until all have ended.

    Raises BuildError when machines run there already.
    """
    if pid := running(folder):
        raise BuildError(f"a live-vm runs already, process {pid}", "end it with Ctrl-C in its terminal")
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.glob("wire-*.socket"):
        path.unlink()
    ports: list[int] = []
    with ExitStack() as stack:
        stack.enter_context(recorded(folder))
        machines = []
        for number, seed in enumerate(seeds, 1):
            ports.append(next_free(SSH, set(ports)))
            keep_disk(disk(folder, number), setup.disk_size)
            described = hardware(setup, folder, number, seed, ports[-1], wired=len(seeds) > 1)
            place = folder if number == 1 else folder / f"node-{number}"
            sink = show if number == 1 else None
            machines.append(stack.enter_context(Machine(described, accelerator, place, None, sink)))
            print(
                f"live-vm: node {number}: ssh -p {ports[-1]} root@{LOOPBACK}; console {place / 'serial.log'}"
            )
            sys.stdout.flush()
        Session(machines).run()


@contextlib.contextmanager
def recorded(folder: Path) -> Iterator[None]:
    """Say who runs machines there."""
    record = folder / "machine.json"
    record.write_text(json.dumps({"pid": os.getpid()}))
    try:
        yield
    finally:
        record.unlink(missing_ok=True)


class Session:
    """Running machines with the terminal as the first one's console, until Ctrl-C or their own end."""

    def __init__(self, machines: Sequence[Machine], pause: Callable[[float], None] = time.sleep) -> None:
        self.machines = machines
        self.stops = 0
        self._pause = pause

    def run(self) -> None:
        """Relay keys, and end the machines in order."""
        with signals_to(self._stop), keys_unprocessed():
            while self._on() and not self.stops:
                relay(self._type, 1)
            if self._on():
                self._power_off()

    def _on(self) -> list[Machine]:
        return [machine for machine in self.machines if machine.running()]

    def _type(self, text: str) -> None:
        with contextlib.suppress(OSError):
            self.machines[0].serial.send(text)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.stops += 1

    def _power_off(self) -> None:
        """Press every machine's power button, wait, at most until the next Ctrl-C."""
        print("\r\nlive-vm: switching off; Ctrl-C again ends it at once\r")
        for machine in self._on():
            with contextlib.suppress(BuildError):
                machine.monitor.execute("system_powerdown")
        deadline = time.monotonic() + POWEROFF_SECONDS
        while self._on() and self.stops < 2 and time.monotonic() < deadline:
            self._pause(0.1)
