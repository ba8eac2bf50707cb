"""Whether this node is well enough for a new version to stay: every reason why not, in words.

    python3 -I -S -m agent.update.health DEADLINE [PROBE-URL [CA]]

waits until nothing is wrong and kube-system has run for STEADY seconds, or until the machine has been up
for DEADLINE seconds (0: without end), and prints what is wrong then. Exit status: 0 well, 1 not well, 2 wrong
usage.
"""

from __future__ import annotations

import os
import re
import socket
import sys
import time

from agent.update import drain, kube
from agent.update.errors import UpdateError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path
    from typing import Any

WELL, NOT_WELL, WRONG_USAGE = 0, 1, 2
STEADY = 30.0
PAUSE = 5.0
PROBE_TIMEOUT = 10.0
PROBE_BYTES = 1024
CONTAINERD = "run/containerd/containerd.sock"
PODS = "/api/v1/namespaces/kube-system/pods"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
# RFC 9113, 3.4 and 6.5: what a client of HTTP/2 says first; a live server answers with SETTINGS, type 4.
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
FRAME_HEADER = 9
TIME = re.compile("([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})Z")
SETTINGS = 4


def check(root: Path, conf: Mapping[str, str], steady: float = STEADY) -> list[str]:
    """What is wrong now; nothing: the node is well. Of the settings, `probe-url` and `ca` are looked at.

    A pod counts once it has been Ready for `steady` seconds.
    """
    return look(root, conf, steady)[0]


def look(root: Path, conf: Mapping[str, str], steady: float) -> tuple[list[str], frozenset[str] | None]:
    """What is wrong now; and the containers of kube-system, None unless all of them run."""
    running: frozenset[str] | None = frozenset()
    failures = [disk(root)]
    if kube.runs_pods(root):
        troubles, running = cluster(root, steady)
        failures += [containerd(root), *troubles]
    if url := conf.get("probe-url"):
        failures.append(probe(url, conf.get("ca", "")))
    return [failure for failure in failures if failure], running


def wait(
    root: Path,
    conf: Mapping[str, str],
    deadline: float,
    now: Callable[[], float] | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> list[str]:
    """Wait until nothing is wrong, and the pods of kube-system have run for STEADY seconds; returns what is
    wrong at the deadline.

    `deadline` is in seconds since the machine was started, 0 for none. The time begins when the containers
    run, be they ready to serve or not, and anew when one was restarted, or when something goes wrong that was
    well before. What the API tells of pods after a boot is that of the boot before until kubelet has looked:
    its lease, renewed every ten seconds, has to change meanwhile. Pods that the updater has kept from
    starting may start.
    """
    now = now or uptime
    running: frozenset[str] | None = None
    since, well, kubelet = now(), False, Kubelet(root)
    while True:
        drain.undo(root)
        # As all of it is watched for so long, the pods' age is.
        failures, found = look(root, conf, 0)
        if found != running:
            running, since, well, kubelet = found, now(), False, Kubelet(root)
        elif found is None:
            since = now()
        elif well and failures:
            since, kubelet = now(), Kubelet(root)
        elif not failures and now() - since >= STEADY:
            if kubelet.lives():
                return []
            failures = ["kubelet has not renewed its lease"]
        well = well or not failures
        if deadline and now() >= deadline:
            return failures or [f"well, but not for {STEADY:.0f} s yet"]
        left = STEADY - (now() - since)
        sleep(min(PAUSE, left) if left > 0 else PAUSE)


class Kubelet:
    """Notices that kubelet has renewed its lease since this was made."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.known = kube.runs_pods(root)
        self.seen = self.renewed_at() if self.known else ""

    def lives(self) -> bool:
        """Whether it has; always where there is no lease to look at."""
        if self.known:
            current = self.renewed_at()
            return current is None or current not in ("", self.seen)
        return True

    def renewed_at(self) -> str | None:
        """The time in the lease, as a text to be compared; "" without an answer, None without a lease."""
        try:
            found = kube.connect(self.root).get(f"{LEASES}/{kube.node_name(self.root)}")
        except kube.KubeError as error:
            return None if error.code == 404 else ""
        return str(found.get("spec", {}).get("renewTime", ""))


def uptime() -> float:
    """Seconds since the machine was started, as in /proc/uptime."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def disk(root: Path) -> str:
    """A write to the data partition that really reaches it."""
    path = str(root / "mnt/data/.update-probe")
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            if os.write(descriptor, bytes(PROBE_BYTES)) != PROBE_BYTES:
                return "the data partition takes only a part of a write"
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
            os.unlink(path)
    except OSError as error:
        return f"the data partition takes no write: {error.strerror}"
    return ""


def containerd(root: Path) -> str:
    """Whether containerd answers on its socket, as any gRPC server does."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(PROBE_TIMEOUT)
            connection.connect(str(root / CONTAINERD))
            connection.sendall(PREFACE)
            header = b""
            while len(header) < FRAME_HEADER and (more := connection.recv(FRAME_HEADER - len(header))):
                header += more
    except OSError as error:
        return f"containerd does not answer: {error.strerror or error}"
    return "" if header[3:4] == bytes((SETTINGS,)) else "containerd does not answer as one"


def cluster(root: Path, steady: float) -> tuple[list[str], frozenset[str] | None]:
    """What is wrong with API server, node and the pods of kube-system; and these pods' containers, when all
    of them run.
    """
    troubles: list[str] = []
    try:
        client = kube.connect(root)
        try:
            client.text("/readyz")
        except kube.KubeError as error:
            troubles.append(f"the API server is not ready: {error}")
        node = client.get(kube.node_path(root))
        pods = [pod for pod in client.get(PODS).get("items") or [] if not passes(pod)]
    except kube.KubeError as error:
        return troubles or [str(error)], None
    return troubles or [node_trouble(node), *pod_troubles(pods, time.time(), steady)], containers(pods)


def containers(pods: Sequence[Mapping[str, Any]]) -> frozenset[str] | None:
    """The containers of these pods by their IDs, which change with a restart; None unless all of them run."""
    found = []
    for pod in pods:
        if pod.get("status", {}).get("phase") != "Running":
            return None
        for status in pod["status"].get("containerStatuses") or []:
            if not status.get("state", {}).get("running"):
                return None
            found.append(str(status.get("containerID")))
    return frozenset(found)


def node_trouble(node: Mapping[str, Any]) -> str:
    """Why a node is not Ready."""
    ready = condition(node, "Ready")
    if ready.get("status") == "True":
        return ""
    return f"the node is not Ready: {ready.get('message') or 'nothing is known of it'}"


def pod_troubles(pods: Sequence[Mapping[str, Any]], now: float, steady: float) -> list[str]:
    """The pods that have not been Ready for `steady` seconds.

    A time in the future is that of a clock which has been set since; it says nothing.
    """
    troubles = []
    for pod in pods:
        name = pod.get("metadata", {}).get("name", "?")
        phase = pod.get("status", {}).get("phase", "Unknown")
        ready = condition(pod, "Ready")
        if phase != "Running":
            troubles.append(f"pod {name} is {phase}{waiting(pod)}")
        elif ready.get("status") != "True":
            troubles.append(f"pod {name} is not Ready{waiting(pod)}")
        elif 0 <= (seconds := now - seconds_of(str(ready.get("lastTransitionTime")), now)) < steady:
            troubles.append(f"pod {name} has been Ready for {seconds:.0f} s only")
    return troubles


def passes(pod: Mapping[str, Any]) -> bool:
    """Whether a pod is nobody's trouble: on its way out, replaced, or a job's, which ends in any case."""
    metadata = pod.get("metadata", {})
    owners = [owner.get("kind") for owner in metadata.get("ownerReferences") or []]
    phase = pod.get("status", {}).get("phase")
    # What was evicted stays as Failed beside the pod that its owner has made anew.
    ended = phase == "Succeeded" or (phase == "Failed" and owners)
    return bool(metadata.get("deletionTimestamp") or ended or "Job" in owners)


def waiting(pod: Mapping[str, Any]) -> str:
    """What the first container that does not run waits for."""
    for status in pod.get("status", {}).get("containerStatuses") or []:
        if reason := (status.get("state", {}).get("waiting") or {}).get("reason"):
            return f": {reason}"
    return ""


def condition(thing: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    """A condition of a node or pod; empty without it."""
    for found in thing.get("status", {}).get("conditions") or []:
        if found.get("type") == kind:
            return dict(found)
    return {}


def seconds_of(text: str, otherwise: float) -> float:
    """A time as Kubernetes writes it (RFC 3339 in UTC, whole seconds), in seconds since 1970.

    time.strptime would need a module of 30 kB that the node does not have.
    """
    import calendar

    found = TIME.fullmatch(text)
    return float(calendar.timegm(tuple(map(int, found.groups())))) if found else otherwise + 1


def probe(url: str, authority: str = "") -> str:
    """Whether a URL answers 200, itself and at once: no redirect is followed, no proxy asked."""
    import http.client
    import ssl
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
        connection: http.client.HTTPConnection
        if parts.scheme == "https":
            context = ssl.create_default_context(cafile=authority or None)
            connection = http.client.HTTPSConnection(host, port, timeout=PROBE_TIMEOUT, context=context)
        elif parts.scheme == "http":
            connection = http.client.HTTPConnection(host, port, timeout=PROBE_TIMEOUT)
        else:
            return f"{url} is no http or https address"
        try:
            connection.request("GET", (parts.path or "/") + (f"?{parts.query}" if parts.query else ""))
            status = connection.getresponse().status
        finally:
            connection.close()
    except (OSError, ValueError, http.client.HTTPException) as error:
        return f"{url} does not answer: {error}"
    return "" if status == 200 else f"{url} answers {status}"


def main(arguments: Sequence[str], root: Path | None = None) -> int:
    """Wait as the health gate does, and print the failures, one a line; returns the exit status."""
    from pathlib import Path

    words = [*arguments, "", ""]
    if not 1 <= len(arguments) <= 3 or not words[0].isdecimal():
        sys.stderr.write(f"{__doc__}\n")
        return WRONG_USAGE
    try:
        failures = wait(root or Path("/"), {"probe-url": words[1], "ca": words[2]}, float(words[0]))
    except Exception as error:  # a fault of ours is a reason as well, and has to be read somewhere
        failures = [
            str(error) if isinstance(error, UpdateError) else f"a fault of the health check: {error!r}"
        ]
    for failure in failures:
        print(" ".join(failure.split()))
    return NOT_WELL if failures else WELL


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
