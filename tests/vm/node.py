"""A booted node as the tests see it: milestones over the host port, objects over the API."""

from __future__ import annotations

import http.client
import ssl
import time

from tasks.lib.errors import BuildError
from tasks.lib.vm.hardware import LOOPBACK
from tasks.lib.vm.hostport import NotYetError, parse_milestones
from tasks.lib.vm.kube import Cluster
from tasks.lib.vm.machine import MARKER, Machine
from tasks.lib.vm.patience import stretched as stretched

API = 6443
HANDOVER = 8080
READY = ("node-ready", "readyz", "kube-proxy-synced", "coredns-running")
LAST_STAGE = "stage-90-kubesolo"
# A question costs the guest a few milliseconds.
PAUSE_SECONDS = 3
PAYLOAD_START = "payload-exec"
ACCOUNT = "/api/v1/namespaces/default/serviceaccounts/default"
# Patience, not a goal: what is promised is asserted where it is measured.
READY_SECONDS = 300
MAX_CRASHES = 2
LOG_LINES = 60
LOG_COLUMNS = 300


def wait_booted(machine: Machine, timeout: float, start: int = 0) -> dict[str, float]:
    """Wait for the marker on the console, and have the guest confirm it; returns the milestones."""
    machine.wait_marker(stretched(timeout), start)
    return wait_milestones(machine, (LAST_STAGE,), 30)


def wait_milestones(
    machine: Machine, names: tuple[str, ...], timeout: float, times: int = 1
) -> dict[str, float]:
    """Wait until the guest has passed all of them so many times: each start of the payload counts.

    Returns the first time of each, in seconds since the kernel started. A payload that is started over and
    over again fails at once. The guest's log is kept beside the console's.
    """
    timeout = stretched(timeout)
    deadline = time.monotonic() + timeout
    while True:
        try:
            text = machine.host.ask("milestones", max(1.0, deadline - time.monotonic()))
        except NotYetError:
            text = ""
        missing = [name for name in names if passes(text, name) < times]
        if not missing:
            return parse_milestones(text)
        crashes = passes(text, PAYLOAD_START) - 1
        if crashes > MAX_CRASHES or time.monotonic() > deadline:
            why = f"the payload has ended {crashes} times" if crashes > 0 else f"not within {timeout:.0f} s"
            raise BuildError(f"{why}: {', '.join(missing)} missing; passed:\n{text}\n{guest_log(machine)}")
        time.sleep(PAUSE_SECONDS)


def passes(text: str, name: str) -> int:
    """How often the guest's list of milestones has this one."""
    return sum(line.startswith(f"{name} ") for line in text.splitlines())


def guest_log(machine: Machine) -> str:
    """The end of the guest's log; all of it goes into a file beside the console's."""
    log = machine.host.ask("log", 30)
    (machine.folder / "guest.log").write_text(log)
    return "\n".join(line[:LOG_COLUMNS] for line in log.splitlines()[-LOG_LINES:])


def wait_log(machine: Machine, text: str, timeout: float) -> str:
    """Wait until the guest's log has this text; returns the log."""
    deadline = time.monotonic() + stretched(timeout)
    while text not in (log := machine.host.ask("log", 30)):
        if time.monotonic() > deadline:
            raise BuildError(f"the log does not say {text!r}:\n{guest_log(machine)}")
        time.sleep(PAUSE_SECONDS)
    return log


def connect(machine: Machine) -> Cluster:
    """The node's API; the node has passed apiserver-listening."""
    return Cluster(machine.host.wait("kubeconfig", 60), machine.port(API))


def wait_cluster(machine: Machine, timeout: float) -> Cluster:
    """The API of a node that takes pods.

    Ready says nothing of the controllers' first round: until it is over, there is no account that pods have,
    and the API refuses them.
    """
    wait_milestones(machine, READY, timeout)
    cluster = connect(machine)
    cluster.wait(ACCOUNT, bool, timeout, "the account of the default namespace's pods")
    return cluster


def wait_port(machine: Machine, port: int, timeout: float) -> None:
    """Wait until something listens on the node."""
    deadline = time.monotonic() + stretched(timeout)
    while port not in map(int, machine.host.ask("ports").split()):
        if time.monotonic() > deadline:
            raise BuildError(f"nothing listens on port {port}:\n{guest_log(machine)}")
        time.sleep(PAUSE_SECONDS)


def fetch_kubeconfig(machine: Machine, token: str) -> tuple[int, str]:
    """Status and text of the answer that whoever has this token gets."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    port = machine.port(HANDOVER)
    connection = http.client.HTTPSConnection(LOOPBACK, port, timeout=stretched(30), context=context)
    connection.request("GET", "/kubeconfig", headers={"Authorization": f"Bearer {token}"})
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


def marker_seen(machine: Machine) -> bool:
    """Whether the boot-success marker is on the serial console."""
    return machine.serial.seen(MARKER)
