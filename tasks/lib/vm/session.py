"""The interactive machine: its files in build/dev-vm, its ports, its orderly end."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from tasks.lib.errors import BuildError
from tasks.lib.paths import BUILD
from tasks.lib.vm import kube
from tasks.lib.vm.console import keys_unprocessed, relay
from tasks.lib.vm.hardware import LOOPBACK
from tasks.lib.vm.hostport import NotYetError
from tasks.lib.vm.machine import MARKER, Machine, alive, free_port

FOLDER = BUILD / "dev-vm"
SSH = 2222
GUEST_SSH = 22
# The host's port to what it is for. Said only once something listens behind it.
PORTS = {6443: "Kubernetes API", 8080: "kubeconfig hand-over", SSH: "SSH", 9100: "metrics"}
NEARBY = 100
ASK_SECONDS = 5
# Pods have 20 s, the payload and the disks have theirs.
POWEROFF_SECONDS = 60


@dataclass(frozen=True)
class Running:
    """A machine that another process has started: its process and its port of the API."""

    pid: int
    api: int


def record() -> Path:
    """Where the running machine is described."""
    return FOLDER / "machine.json"


def kubeconfig() -> Path:
    """Where the running machine's kubeconfig is put."""
    return FOLDER / "kubeconfig"


def running() -> Running | None:
    """The machine that runs now, if any."""
    try:
        found = Running(**json.loads(record().read_text()))
    except (OSError, ValueError, TypeError):
        return None
    return found if alive(found.pid) else None


def missing() -> str:
    """What is still to come until the API of the running machine's node can be used, "" when nothing is.

    Raises BuildError when no machine runs.
    """
    found = running()
    if found is None:
        raise BuildError("no dev-vm runs", "start one with ./doit dev-vm in another terminal")
    try:
        cluster = kube.Cluster(kubeconfig().read_text(), found.api)
    except OSError:
        return "the node has no kubeconfig"
    try:
        cluster.request("GET", "/readyz", timeout=ASK_SECONDS)
    except BuildError:
        return "the node's API does not answer"
    finally:
        cluster.close()
    return ""


def choose_ports() -> dict[int, int]:
    """Guest port to host port: the same number, else the next free one."""
    chosen: dict[int, int] = {}
    for wanted in PORTS:
        chosen[guest_port(wanted)] = next_free(wanted, set(chosen.values()))
    return chosen


def guest_port(wanted: int) -> int:
    """The guest's port behind one of PORTS."""
    return GUEST_SSH if wanted == SSH else wanted


def lines_for(listening: set[int], forwards: Mapping[int, int], said: set[int]) -> list[str]:
    """What to say of ports that listen on the guest and are not among those said, which they are then."""
    lines = []
    for wanted, purpose in PORTS.items():
        guest = guest_port(wanted)
        if guest not in listening or guest not in forwards or guest in said:
            continue
        said.add(guest)
        note = f"  (port {wanted} is taken)" if forwards[guest] != wanted else ""
        lines.append(f"dev-vm: {LOOPBACK}:{forwards[guest]:<6} {purpose}{note}")
    return lines


def next_free(wanted: int, taken: set[int]) -> int:
    """The wanted port or the next free one.

    Raises BuildError when none of the next hundred is free.
    """
    for port in range(wanted, wanted + NEARBY):
        if port not in taken:
            with contextlib.suppress(BuildError):
                return free_port(port)
    raise BuildError(f"ports {wanted} to {wanted + NEARBY - 1} are all taken on this host")


class Session:
    """A running machine with the terminal as its console, until Ctrl-C or the guest's own end."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.stops = 0
        self._asked = 0.0
        self._known = False
        self._said: set[int] = set()

    def run(self) -> None:
        """Relay keys, hand out the kubeconfig once there is one, and end the machine in order."""
        with signals_to(self._stop), self._recorded(), keys_unprocessed():
            while self.machine.running() and not self.stops:
                relay(self._type, 1)
                self._fetch_kubeconfig()
            if self.machine.running():
                self._power_off()

    def _type(self, text: str) -> None:
        with contextlib.suppress(OSError):
            self.machine.serial.send(text)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.stops += 1

    @contextlib.contextmanager
    def _recorded(self) -> Iterator[None]:
        api = self.machine.hardware.forwards.get(6443, 0)
        kubeconfig().unlink(missing_ok=True)
        record().write_text(json.dumps({"pid": os.getpid(), "api": api}))
        try:
            yield
        finally:
            record().unlink(missing_ok=True)
            kubeconfig().unlink(missing_ok=True)

    def _fetch_kubeconfig(self) -> None:
        if time.monotonic() < self._asked + ASK_SECONDS or not self.machine.serial.seen(MARKER):
            return
        self._asked = time.monotonic()
        self._tell_ports()
        if self._known:
            return
        with contextlib.suppress(NotYetError, BuildError):
            text = kube.for_host(self.machine.host.ask("kubeconfig", 1), self.machine.port(6443))
            scratch = FOLDER / ".kubeconfig"
            scratch.unlink(missing_ok=True)
            scratch.touch(0o600)
            scratch.write_text(text)
            scratch.rename(kubeconfig())
            self._known = True

    def _tell_ports(self) -> None:
        """Say which ports something listens behind, each once. The terminal takes lines as they are."""
        forwards = self.machine.hardware.forwards
        if len(self._said) == len(forwards):
            return
        with contextlib.suppress(NotYetError, BuildError, ValueError):
            listening = {int(line) for line in self.machine.host.ask("ports", 2).split()}
            for line in lines_for(listening, forwards, self._said):
                print(f"\r\n{line}\r")

    def _power_off(self) -> None:
        """Ask the guest to end, wait for it, at most until the next Ctrl-C."""
        print("\r\ndev-vm: switching the machine off; Ctrl-C again ends it at once\r")
        try:
            self.machine.host.ask("poweroff", 2)
        except (NotYetError, BuildError):
            return
        deadline = time.monotonic() + POWEROFF_SECONDS
        while self.machine.running() and self.stops < 2 and time.monotonic() < deadline:
            time.sleep(0.1)


@contextlib.contextmanager
def signals_to(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Give Ctrl-C, SIGTERM and SIGHUP to `handler` for a while."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        for number in before:
            signal.signal(number, handler)
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
