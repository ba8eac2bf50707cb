"""A booted node as the tests see it: milestones over the host port, objects over the API."""

from __future__ import annotations

import time

from tasks.lib.errors import BuildError
from tasks.lib.vm.hostport import NotYetError
from tasks.lib.vm.kube import Cluster
from tasks.lib.vm.machine import MARKER, Machine

API = 6443
READY = ("node-ready", "readyz", "kube-proxy-synced", "coredns-running")
LAST_STAGE = "stage-90-kubesolo"
# A question costs the guest a few milliseconds.
PAUSE_SECONDS = 3


def wait_booted(machine: Machine, timeout: float, start: int = 0) -> dict[str, float]:
    """Wait for the marker on the console, and have the guest confirm it; returns the milestones."""
    machine.wait_marker(timeout, start)
    return wait_milestones(machine, (LAST_STAGE,), 30)


def wait_milestones(machine: Machine, names: tuple[str, ...], timeout: float) -> dict[str, float]:
    """Wait until the guest has passed all of them; returns all, in seconds since its kernel started."""
    deadline = time.monotonic() + timeout
    found: dict[str, float] = {}
    while True:
        try:
            found = machine.host.milestones(max(1.0, deadline - time.monotonic()))
        except NotYetError:
            found = {}
        missing = [name for name in names if name not in found]
        if not missing:
            return found
        if time.monotonic() > deadline or not machine.running():
            log = machine.host.ask("log", 30) if machine.running() else "the machine has ended"
            raise BuildError(f"not within {timeout:.0f} s: {', '.join(missing)}; passed: {found}\n{log}")
        time.sleep(PAUSE_SECONDS)


def connect(machine: Machine) -> Cluster:
    """The node's API; the node has passed apiserver-listening."""
    return Cluster(machine.host.wait("kubeconfig", 60), machine.port(API))


def marker_seen(machine: Machine) -> bool:
    """Whether the boot-success marker is on the serial console."""
    return machine.serial.seen(MARKER)
