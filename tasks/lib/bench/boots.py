"""From power-on to a Ready node, on the guest's own clock, without disturbing what is measured."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from tasks.lib.bench.report import table
from tasks.lib.errors import BuildError
from tasks.lib.vm.accel import Acceleration
from tasks.lib.vm.disks import copy_disk, write_data_disk
from tasks.lib.vm.hardware import Hardware
from tasks.lib.vm.machine import Machine

DISK_MIB = 4096
MACHINE_SECONDS = 420
BOOT_SECONDS = 120
READY_SECONDS = 240
# A question to the guest costs it a few milliseconds; ten seconds apart, they do not show.
PAUSE_SECONDS = 10
SETTLE_SECONDS = 20
LAST_STAGE = "stage-90-kubesolo"
SETTLED = ("node-ready", "kube-proxy-synced", "coredns-running")
WANTED = ("node-ready", "readyz", "kube-proxy-synced", "coredns-running")


@dataclass(frozen=True)
class Setup:
    """A kind of boot: firmware, memory in MiB, and what is started: the ISO as CD, or the disk image."""

    firmware: Literal["bios", "uefi"]
    memory: int
    medium: Literal["iso", "disk"] = "iso"

    @property
    def name(self) -> str:
        """As the command line has it."""
        return f"{'' if self.medium == 'iso' else 'disk-'}{self.firmware}-{self.memory}"

    @property
    def title(self) -> str:
        """Firmware and medium, for the table."""
        return f"{'' if self.medium == 'iso' else 'disk '}{self.firmware}"


@dataclass(frozen=True)
class Boot:
    """One measured boot. Times in seconds: wall clock from power-on, else since the kernel's start.

    used, images: memory in KiB, SETTLE_SECONDS after the last of SETTLED; meminfo: what it was computed from.
    """

    firmware: str
    memory: int
    order: str
    wall_last_stage: float
    milestones: dict[str, float]
    used: int
    images: int
    meminfo: dict[str, int] = field(default_factory=dict)

    def anonymous(self) -> int:
        """KiB of processes' own memory."""
        return self.meminfo.get("AnonPages", 0)

    def kernel(self) -> int:
        """KiB of what the kernel can not give back: slabs, stacks, page tables, per-CPU data."""
        return sum(
            self.meminfo.get(name, 0) for name in ("SUnreclaim", "KernelStack", "PageTables", "Percpu")
        )


SETUPS = (
    Setup("bios", 1024), Setup("uefi", 1024), Setup("bios", 512), Setup("uefi", 512),
    Setup("bios", 1024, "disk"), Setup("uefi", 1024, "disk"),
)  # fmt: skip
ROWS: tuple[tuple[str, str, Callable[[Boot], float]], ...] = (
    ("power-on to last stage, wall clock (s)", "", lambda boot: boot.wall_last_stage),
    ("kernel start to `/init` (s)", "", lambda boot: boot.milestones["init-start"]),
    ("last stage (s)", "< 10", lambda boot: boot.milestones[LAST_STAGE]),
    ("API server listens (s)", "", lambda boot: boot.milestones["apiserver-listening"]),
    ("node condition Ready (s)", "< 30", lambda boot: boot.milestones["node-ready"]),
    ("`/readyz` (s)", "< 40", lambda boot: boot.milestones["readyz"]),
    ("kube-proxy synced (s)", "", lambda boot: boot.milestones["kube-proxy-synced"]),
    ("CoreDNS Running (s)", "< 60", lambda boot: boot.milestones["coredns-running"]),
    ("memory in use, less root images (MiB)", "< 260", lambda boot: mebibytes(boot.used - boot.images)),
    ("of it anonymous memory of processes (MiB)", "", lambda boot: mebibytes(boot.anonymous())),
    ("of it kernel: slabs, stacks, page tables (MiB)", "", lambda boot: mebibytes(boot.kernel())),
    ("root images in RAM (MiB)", "", lambda boot: mebibytes(boot.images)),
    ("memory in use, all (MiB)", "", lambda boot: mebibytes(boot.used)),
)


def chosen_setups(text: str) -> tuple[Setup, ...]:
    """The kinds of boot named on the command line, or all.

    Raises BuildError for one that does not exist.
    """
    known = {setup.name: setup for setup in SETUPS}
    names = text.split(",") if text else list(known)
    if wrong := [name for name in names if name not in known]:
        raise BuildError(f"bench: no such boot: {', '.join(wrong)}", f"choose from {', '.join(known)}")
    return tuple(known[name] for name in names)


def mebibytes(kib: int) -> float:
    """KiB as MiB."""
    return kib / 1024


def measure_boots(
    media: Mapping[str, Path],
    accelerator: Acceleration,
    setups: Sequence[Setup],
    repeat: int,
    note: Callable[[str], None],
) -> list[Boot]:
    """First and second boot of every setup, each `repeat` times with a new, empty disk.

    media: the file of each kind of medium that the setups have. Raises BuildError when a machine does not get
    there.
    """
    boots = []
    for setup in setups:
        for _ in range(repeat):
            with tempfile.TemporaryDirectory(prefix="kubesolo-bench-") as folder:
                hardware = prepare(setup, media[setup.medium], Path(folder, "disk.img"))
                for order in ("first", "second"):
                    boot = measure_boot(hardware, accelerator, setup, order, Path(folder, order))
                    note(describe_boot(boot))
                    boots.append(boot)
    return boots


def prepare(setup: Setup, medium: Path, disk: Path) -> Hardware:
    """A machine of DISK_MIB, with the ISO as CD and an empty data disk, or with the image on its disk."""
    if setup.medium == "iso":
        write_data_disk(disk, DISK_MIB)
    else:
        copy_disk(medium, disk)
        os.truncate(disk, DISK_MIB << 20)
    return Hardware(
        cdrom=medium if setup.medium == "iso" else None,
        data=disk,
        data_cache="writeback",
        memory=setup.memory,
        firmware=setup.firmware,
    )


def measure_boot(
    hardware: Hardware, accelerator: Acceleration, setup: Setup, order: str, folder: Path
) -> Boot:
    """One boot, default entry; the machine is switched off in order afterwards."""
    with Machine(hardware, accelerator, folder, MACHINE_SECONDS) as machine:
        wall = machine.wait_marker(BOOT_SECONDS)
        milestones = wait_settled(machine)
        kernel_start = machine.started + wall - milestones[LAST_STAGE]
        settled = kernel_start + max(milestones[name] for name in SETTLED) + SETTLE_SECONDS
        time.sleep(max(0.0, settled - time.monotonic()))
        memory = machine.host.memory()
        machine.host.ask("poweroff")
        machine.wait_end(60)
    return Boot(setup.title, setup.memory, order, wall, milestones, memory.used, memory.images, memory.values)


def wait_settled(machine: Machine) -> dict[str, float]:
    """Wait, asking rarely, until all of WANTED have passed; returns all milestones.

    Raises BuildError when that takes too long.
    """
    deadline = time.monotonic() + READY_SECONDS
    while True:
        time.sleep(PAUSE_SECONDS)
        found = machine.host.milestones()
        if all(name in found for name in WANTED):
            return found
        if time.monotonic() > deadline:
            raise BuildError(f"the node is not Ready: {found}\n{machine.host.ask('log')}")


def describe_boot(boot: Boot) -> str:
    """One line for whoever waits."""
    ready, used = boot.milestones["node-ready"], mebibytes(boot.used - boot.images)
    return f"{boot.firmware} {boot.memory} MiB, {boot.order} boot: Ready {ready:.1f} s, {used:.0f} MiB in use"


def describe_boots(boots: Sequence[Boot]) -> str:
    """A table: figures down, kinds of boot across; of repeated boots the median."""
    kinds = list(dict.fromkeys((boot.firmware, boot.memory, boot.order) for boot in boots))
    head = ["", "goal", *(f"{named(firmware)}, {memory}, {order}" for firmware, memory, order in kinds)]
    rows = []
    for title, goal, figure in ROWS:
        cells = []
        for kind in kinds:
            values = [figure(boot) for boot in boots if (boot.firmware, boot.memory, boot.order) == kind]
            cells.append(f"{median(values):.1f}")
        rows.append([title, goal, *cells])
    return table(head, rows)


def named(title: str) -> str:
    """A setup's title with its firmware's abbreviation in capitals."""
    *medium, firmware = title.split()
    return " ".join([*medium, firmware.upper()])


def median(values: Sequence[float]) -> float:
    """The middle value; of an even number the higher of the two, so that nothing looks better than it was."""
    return sorted(values)[len(values) // 2]


def raw(boots: Sequence[Boot]) -> list[dict[str, object]]:
    """The boots as JSON values."""
    return [asdict(boot) for boot in boots]
