"""What a configuration file costs on the way to the last stage, on the guest's own clock."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median

from tasks.lib.bench.boots import BOOT_SECONDS, LAST_STAGE, MACHINE_SECONDS
from tasks.lib.bench.report import table
from tasks.lib.formats.tree import Tree
from tasks.lib.vm.accel import EMULATION
from tasks.lib.vm.disks import write_data_disk
from tasks.lib.vm.hardware import Hardware
from tasks.lib.vm.machine import Machine

DISK_MIB = 256
PLACE = "etc-kubesolo/cloud-init.yaml"
STAGE = ("stage-40-sysctl", "stage-45-cloud-init")
KINDS = ("without", "with")
ORDERS = ("first", "second")
Seconds = Mapping[str, Sequence[Mapping[str, float]]]


def measure_configs(
    iso: Path, configuration: Path, repeat: int, note: Callable[[str], None]
) -> dict[str, list[dict[str, float]]]:
    """The milestones of first and second boots, without and with the file, in turns: what the host does
    meanwhile meets both alike. Seconds since the kernel's start, by `KIND ORDER`.

    Raises BuildError when a machine does not get there.
    """
    found: dict[str, list[dict[str, float]]] = {}
    for _ in range(repeat):
        for kind in KINDS:
            with tempfile.TemporaryDirectory(prefix="kubesolo-bench-") as folder:
                disk = Path(folder, "disk.img")
                write_data_disk(disk, DISK_MIB, content(configuration) if kind == "with" else None)
                for order in ORDERS:
                    name = f"{kind} {order}"
                    milestones = boot(Hardware(cdrom=iso, data=disk), Path(folder, order))
                    note(f"{name}: last stage {milestones[LAST_STAGE]:.2f} s")
                    found.setdefault(name, []).append(milestones)
    return found


def content(configuration: Path) -> Tree:
    """A data partition with the file."""
    tree = Tree()
    tree.add_file(PLACE, configuration, 0o600)
    return tree


def boot(hardware: Hardware, folder: Path) -> dict[str, float]:
    """One boot's milestones."""
    with Machine(hardware, EMULATION, folder, MACHINE_SECONDS) as machine:
        machine.wait_marker(BOOT_SECONDS)
        milestones = machine.host.milestones()
        machine.host.ask("poweroff")
        machine.wait_end(60)
    return milestones


def describe_configs(found: Seconds) -> str:
    """A table: medians, and the difference that the goal is about."""
    rows = []
    for order, goal in zip(ORDERS, ("1.0", "0.2"), strict=True):
        last = {kind: median([boot[LAST_STAGE] for boot in found[f"{kind} {order}"]]) for kind in KINDS}
        stage = median([boot[STAGE[1]] - boot[STAGE[0]] for boot in found[f"with {order}"]])
        later = f"{last['with'] - last['without']:+.2f}"
        rows.append([order, *(f"{last[kind]:.2f}" for kind in KINDS), later, f"< {goal}", f"{stage:.2f}"])
    head = [
        "boot",
        "last stage, no file (s)",
        "with the file (s)",
        "later by (s)",
        "goal (s)",
        "stage 45 (s)",
    ]
    return table(head, rows)
