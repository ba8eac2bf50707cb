"""The Live CD: how large it is, and how long it takes until somebody can log in."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from tasks.lib.bench.report import table
from tasks.lib.errors import BuildError
from tasks.lib.vm.accel import Acceleration
from tasks.lib.vm.hardware import Hardware
from tasks.lib.vm.machine import Machine

MEMORY = 2048
DISK_BYTES = 8 << 30
SECONDS = 400
PAUSE_SECONDS = 2
PROMPT = " login: "
# Said by systemd, microseconds since the kernel's start: answered on the console.
QUESTION = "systemctl show -P ActiveEnterTimestampMonotonic multi-user.target"
GOAL_MB = 400
GOAL_SECONDS = 35


@dataclass(frozen=True)
class LiveBoot:
    """One boot. wall: seconds from power-on to the login prompt; multi_user: since the kernel's start."""

    firmware: Literal["bios", "uefi"]
    order: str
    wall: float
    multi_user: float


def measure(iso: Path, seed: Path, accelerator: Acceleration, note: Callable[[str], None]) -> list[LiveBoot]:
    """First and second boot with a BIOS and with UEFI, each pair with a new blank disk.

    seed: gives root the password root. Raises BuildError when a machine does not get there.
    """
    found = []
    for firmware in ("bios", "uefi"):
        with tempfile.TemporaryDirectory(prefix="kubesolo-bench-") as name:
            disk = Path(name, "disk.img")
            with disk.open("wb") as stream:
                stream.truncate(DISK_BYTES)
            hardware = Hardware(
                memory=MEMORY, firmware=firmware, cdrom=iso, seed=seed, data=disk, data_cache="writeback"
            )
            for order in ("first", "second"):
                boot = measure_boot(hardware, accelerator, order, Path(name, order))
                note(f"{firmware}, {order} boot: login after {boot.wall:.1f} s")
                found.append(boot)
    return found


def measure_boot(hardware: Hardware, accelerator: Acceleration, order: str, folder: Path) -> LiveBoot:
    """One boot, default entry; the machine is switched off by its power button afterwards."""
    with Machine(hardware, accelerator, folder, SECONDS) as machine:
        wall = machine.serial.wait(PROMPT, SECONDS) - machine.started
        log_in(machine)
        machine.serial.send("root\n")
        machine.serial.wait(":~#", SECONDS)
        multi_user = 0
        while not multi_user:  # the prompt may come first; the machine's deadline ends this
            machine.serial.send(f"echo =$({QUESTION})=\n")
            place = machine.serial.position()
            machine.serial.wait("\n=", SECONDS, place)
            machine.serial.wait(":~#", SECONDS, place)
            multi_user = int(machine.serial.text(place).split("\n=", 1)[1].split("=")[0])
        machine.monitor.execute("system_powerdown")
        machine.wait_end(SECONDS)
    return LiveBoot(hardware.firmware, order, wall, multi_user / 1e6)


def log_in(machine: Machine) -> None:
    """Type the name until the password is asked for: what is typed while getty asks the terminal is lost."""
    for _ in range(SECONDS // PAUSE_SECONDS):
        if machine.serial.seen("Password: "):
            return
        machine.serial.send("root\n")
        time.sleep(PAUSE_SECONDS)
    raise BuildError(f"nobody can log in:\n{machine.serial.tail()}")


def describe(sizes: dict[str, int], boots: Sequence[LiveBoot]) -> str:
    """Both tables."""
    rows = [(f"`{path}`", f"{size / 1e6:.1f}") for path, size in sizes.items() if path and size > 1e5]
    rows.sort(key=lambda row: -float(row[1]))
    rows.append((f"**the ISO** (goal: < {GOAL_MB})", f"**{sizes[''] / 1e6:.1f}**"))
    head = ["", "goal", *(f"{boot.firmware.upper()}, {boot.order}" for boot in boots)]
    times = [
        ["power-on to the login prompt, wall clock (s)", f"< {GOAL_SECONDS}"],
        ["kernel start to multi-user.target (s)", ""],
    ]
    times[0] += [f"{boot.wall:.1f}" for boot in boots]
    times[1] += [f"{boot.multi_user:.1f}" for boot in boots]
    return f"{table(('part', 'MB'), rows)}\n\n{table(head, times)}"


def raw(boots: Sequence[LiveBoot]) -> list[dict[str, Any]]:
    """As they are kept."""
    return [asdict(boot) for boot in boots]
