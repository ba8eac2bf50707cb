"""A node on which something is measured: started, waited for, asked, and given pods."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tasks.lib.errors import BuildError
from tasks.lib.vm.accel import Acceleration
from tasks.lib.vm.disks import write_data_disk
from tasks.lib.vm.hardware import Hardware
from tasks.lib.vm.hostport import NotYetError
from tasks.lib.vm.kube import Cluster, Object
from tasks.lib.vm.machine import Machine
from tasks.lib.vm.patience import stretched

API = 6443
# Free ones of the range of node ports.
NODE_PORTS = (30181, 30182)
DISK_MIB = 4096
MACHINE_SECONDS = 7200
BOOT_SECONDS = 120
READY_SECONDS = 240
PAUSE_SECONDS = 5
ASK_SECONDS = 30
READY = ("node-ready", "readyz", "kube-proxy-synced", "coredns-running")
CYCLES = 500
IDLE_SECONDS = 300
Say = Callable[[str], None]


@dataclass
class Node:
    """A node that is Ready. image: of the pods; it holds it already. cycles, idle: how long is measured."""

    machine: Machine
    cluster: Cluster
    image: str
    cycles: int = CYCLES
    idle: float = IDLE_SECONDS
    say: Say = field(default=lambda text: None)

    def pod(self, name: str) -> Object:
        """A pod that does nothing, and ends at once."""
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name},
            "spec": {
                "terminationGracePeriodSeconds": 0,
                "automountServiceAccountToken": False,
                "containers": [{"name": "pause", "image": self.image, "imagePullPolicy": "Never"}],
            },
        }

    def used(self) -> float:
        """MiB of memory in use, less the root images in it."""
        return self.machine.host.memory(stretched(ASK_SECONDS)).without_images / 1024


@contextmanager
def started(iso: Path, accelerator: Acceleration, memory: int, folder: Path, image: str) -> Iterator[Node]:
    """A node with so much memory (MiB) and an empty data disk that honours flushes."""
    write_data_disk(folder / "data.img", DISK_MIB)
    hardware = Hardware(
        cdrom=iso, data=folder / "data.img", data_cache="writeback", memory=memory,
        forwards={API: 0, **dict.fromkeys(NODE_PORTS, 0)},
    )  # fmt: skip
    with Machine(hardware, accelerator, folder, MACHINE_SECONDS) as machine:
        wait_ready(machine)
        cluster = Cluster(machine.host.ask("kubeconfig", stretched(ASK_SECONDS)), machine.port(API))
        try:
            yield Node(machine, cluster, image)
        finally:
            cluster.close()


def wait_ready(machine: Machine) -> None:
    """Until cluster DNS answers; BuildError when that takes too long."""
    machine.wait_marker(stretched(BOOT_SECONDS))
    deadline = time.monotonic() + stretched(READY_SECONDS)
    while True:
        time.sleep(PAUSE_SECONDS)
        try:
            passed = machine.host.milestones(stretched(ASK_SECONDS))
        except NotYetError:
            passed = {}
        if all(name in passed for name in READY):
            return
        if time.monotonic() > deadline:
            raise BuildError(f"the node is not Ready: {passed}")
