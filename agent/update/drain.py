"""Takes the pods off this node before it starts over, and gives them back afterwards.

    python3 -I -S -m agent.update.drain uncordon

Annotation `updates.kubesolo.io/cordoned=true` says that the updater has cordoned the node; one that an
operator has cordoned stays so. A file (MARK) says the same to whoever should not start Python for it.
"""

from __future__ import annotations

import sys
import time
from contextlib import suppress

from agent.durable import replace_file
from agent.update import kube
from agent.update.errors import FAILED, WRONG_USAGE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path
    from typing import Any

BLOCK = "updates.kubesolo.io/block"
CORDONED = "updates.kubesolo.io/cordoned"
MARK = "mnt/data/update/cordoned"
MIRROR = "kubernetes.io/config.mirror"
# Answers that another try does not change.
REFUSALS = (401, 403)
SECONDS = 60.0
TRIES = 20
PAUSE = 2.0


def blocked(root: Path) -> bool:
    """Whether an operator has labelled the node so that it is not updated; raises KubeError."""
    return kube.runs_pods(root) and kube.node_labels(kube.connect(root), root).get(BLOCK) == "true"


def cordon(root: Path) -> None:
    """Keep new pods away, unless somebody does already; raises KubeError and OSError.

    The mark goes first: after a power cut the node is not left cordoned for ever.
    """
    client, path = kube.connect(root), kube.node_path(root)
    if client.get(path).get("spec", {}).get("unschedulable"):
        return
    write_mark(root)
    client.patch(path, {"metadata": {"annotations": {CORDONED: "true"}}, "spec": {"unschedulable": True}})


def write_mark(root: Path) -> None:
    """Raises OSError."""
    mark = root / MARK
    mark.parent.mkdir(parents=True, exist_ok=True)
    replace_file(str(mark), b"", 0o644)


def uncordon(root: Path) -> bool:
    """Let pods come back if the updater has kept them away; whether it had. Raises KubeError."""
    client, path = kube.connect(root), kube.node_path(root)
    ours = (client.get(path).get("metadata", {}).get("annotations") or {}).get(CORDONED) == "true"
    if ours:
        # Null removes: as it is in a node that nobody has cordoned.
        client.patch(path, {"metadata": {"annotations": {CORDONED: None}}, "spec": {"unschedulable": None}})
    with suppress(OSError):
        (root / MARK).unlink()
    return ours


def undo(root: Path) -> None:
    """The same for whoever asks again later; costs one look where there is nothing to do."""
    if (root / MARK).exists():
        with suppress(kube.KubeError):
            uncordon(root)


def drain(
    root: Path,
    seconds: float = SECONDS,
    now: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> list[str]:
    """Cordon the node and move its pods away; returns the names of those that had to be deleted.

    Pods are evicted, so that disruption budgets count, until `seconds` are over; then what is left is
    deleted. Pods of a DaemonSet or of a file, and the one that this program runs in, stay. Raises KubeError
    and OSError when the API server does not play along: the payload stops what runs when the machine goes
    down.
    """
    if not kube.runs_pods(root):
        return []
    client, name, deadline = kube.connect(root), kube.node_name(root), now() + seconds
    cordoned = False
    while True:
        try:
            if not cordoned:
                cordon(root)
                cordoned = True
            pods = movable(client, name)
            if not pods:
                return []
            if now() >= deadline:
                return [delete(client, pod) for pod in pods]
            for pod in pods:
                evict(client, pod)
        except kube.KubeError as error:
            # A node that is busy with ending pods may be slow to answer.
            if now() >= deadline or error.code in REFUSALS:
                raise
        sleep(PAUSE)


def movable(client: kube.Kube, name: str) -> list[Mapping[str, Any]]:
    """The pods of this node that have to go, those that end already among them; raises KubeError."""
    found = client.get(f"/api/v1/pods?fieldSelector=spec.nodeName%3D{name}").get("items") or []
    own = own_pod()
    return [pod for pod in found if not stays(pod) and pod["metadata"].get("uid") != own]


def stays(pod: Mapping[str, Any]) -> bool:
    """Whether a pod is none that a drain moves: it has ended, or would come back at once."""
    metadata = pod["metadata"]
    owners = [owner.get("kind") for owner in metadata.get("ownerReferences") or []]
    ended = pod.get("status", {}).get("phase") in ("Succeeded", "Failed")
    return ended or "DaemonSet" in owners or MIRROR in (metadata.get("annotations") or {})


def own_pod(groups: str = "/proc/self/cgroup") -> str:
    """The UID of the pod that this process belongs to, "" without one.

    A job that updates must not evict itself. kubelet names a pod's control group pod<UID>, below kubepods
    (cgroupfs driver).
    """
    try:
        with open(groups) as stream:
            parts = stream.read().split("/")
    except OSError:
        return ""
    return next((part[3:] for part in parts if part.startswith("pod") and part.count("-") == 4), "")


def place(pod: Mapping[str, Any]) -> str:
    """The path of a pod."""
    return f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods/{pod['metadata']['name']}"


def evict(client: kube.Kube, pod: Mapping[str, Any]) -> None:
    """Ask for a pod's eviction; 429: its budget does not allow it now, 404: it is gone. Raises KubeError."""
    metadata = pod["metadata"]
    if metadata.get("deletionTimestamp"):
        return
    body = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": metadata["name"], "namespace": metadata["namespace"]},
    }
    try:
        client.post(f"{place(pod)}/eviction", body)
    except kube.KubeError as error:
        if error.code not in (404, 429, 500):
            raise


def delete(client: kube.Kube, pod: Mapping[str, Any]) -> str:
    """Delete a pod with its own grace period, whatever its budget says; returns its name."""
    metadata = pod["metadata"]
    if not metadata.get("deletionTimestamp"):
        with suppress(kube.KubeError):
            client.delete(place(pod))
    return f"{metadata['namespace']}/{metadata['name']}"


def main(
    arguments: Sequence[str], root: Path | None = None, sleep: Callable[[float], None] = time.sleep
) -> int:
    """Uncordon, as the health gate does, at the latest at the last of TRIES; returns the exit status."""
    from pathlib import Path

    if list(arguments) != ["uncordon"]:
        sys.stderr.write(f"{__doc__}\n")
        return WRONG_USAGE
    for _ in range(TRIES):
        try:
            if uncordon(root or Path("/")):
                print("pods may start on this node again")
        except kube.KubeError as error:
            sys.stderr.write(f"{error}\n")
            sleep(PAUSE)
        else:
            return 0
    return FAILED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
