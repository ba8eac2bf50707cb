"""What the updater tells Kubernetes: events of the node. What can not be told yet is kept and told later."""

from __future__ import annotations

import json
import time
from contextlib import suppress

from agent.durable import replace_file
from agent.update import kube

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

# What has become of an update, by the phase that it ends in.
REASONS = {"success": "UpdateSucceeded", "rolled_back": "UpdateRolledBack"}
REFUSED = "UpdateRefused"
# The last event that Kubernetes does not know; the health gate asks for it by name.
UNTOLD = "mnt/data/update/untold"
# Answers that another try does not change.
INVALID = (400, 422)
# The API server keeps an event's message so long (validation.go: 1,024 bytes).
MESSAGE_BYTES = 1024


def tell(root: Path, reason: str, message: str) -> None:
    """An event on the node; where no API server takes it, it is kept for `tell_again`.

    Raises OSError when it can not be kept either.

    kubectl describe node lists the events whose object has the node's name for a UID, as kubelet writes them.
    """
    if not kube.runs_pods(root):
        return
    name = kube.node_name(root)
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    event = {
        "metadata": {"generateName": f"{name}.", "namespace": "default"},
        "involvedObject": {"kind": "Node", "apiVersion": "v1", "name": name, "uid": name},
        "reason": reason,
        "message": message.encode()[:MESSAGE_BYTES].decode(errors="ignore"),
        "type": "Normal" if reason == REASONS["success"] else "Warning",
        "source": {"component": "kubesolo-update", "host": name},
        "firstTimestamp": stamp,
        "lastTimestamp": stamp,
        "count": 1,
    }
    try:
        post(root, event)
    except kube.KubeError:
        path = root / UNTOLD
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(str(path), json.dumps(event).encode(), 0o644)
    else:
        (root / UNTOLD).unlink(missing_ok=True)


def tell_again(root: Path) -> None:
    """What could not be told before, if there is anything, and an API server that takes it."""
    path = root / UNTOLD
    with suppress(OSError):
        try:
            post(root, json.loads(path.read_bytes()))
        except ValueError:
            pass  # damaged
        except kube.KubeError as error:
            if error.code not in INVALID:
                return
        path.unlink()


def post(root: Path, event: dict[str, Any]) -> None:
    """Raises KubeError."""
    kube.connect(root).post("/api/v1/namespaces/default/events", event)
