"""How a payload is that does not say so itself, such as Portainer's release of KubeSolo.

    python3 -I -S -m agent.payload [ROOT]

prints "ok" or what is wrong on the first line, and then the milestones that it has passed, a line each.
"""

from __future__ import annotations

import sys

from agent.update import kube

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import Any

TIMEOUT = 8.0
# kube-proxy's own word that it has written its rules (its default healthz-bind-address).
PROXY = ("127.0.0.1", 10256, "/healthz")
PODS = "/api/v1/namespaces/kube-system/pods"
# Of this start of the machine (proc_sys_kernel(5)), as kubelet reports it.
BOOT_ID = "proc/sys/kernel/random/boot_id"


def look(root: Path) -> tuple[str, list[str]]:
    """How it is, and the milestones that it has passed."""
    try:
        client = kube.connect(root, TIMEOUT)
    except kube.KubeError as error:
        return str(error), []
    try:
        client.text("/readyz")
    except kube.KubeError as error:
        return str(error), ["apiserver-listening"] if error.code else []
    passed = ["apiserver-listening", "readyz"]
    try:
        nodes, pods = items(client.get("/api/v1/nodes")), items(client.get(PODS))
    except kube.KubeError as error:
        return str(error), passed
    boot = (root / BOOT_ID).read_text().strip()
    wrong = ""
    for milestone, good, words in (
        ("node-ready", any(is_ready(node) and is_of(node, boot) for node in nodes), "the node is not Ready"),
        ("kube-proxy-synced", proxy_synced(), "kube-proxy has not written its rules"),
        ("coredns-running", any(is_dns(pod) and is_ready(pod) for pod in pods), "cluster DNS is not Ready"),
    ):
        if good:
            passed.append(milestone)
        wrong = wrong or ("" if good else words)
    return wrong or "ok", passed


def items(found: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The objects of a list."""
    rows = found.get("items")
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def is_ready(thing: Mapping[str, Any]) -> bool:
    """Whether a node or a pod has the condition Ready."""
    conditions = thing.get("status", {}).get("conditions") or []
    return any(row.get("type") == "Ready" and row.get("status") == "True" for row in conditions)


def is_of(node: Mapping[str, Any], boot: str) -> bool:
    """Whether what a node says is of this boot: what it said before a reboot is still there afterwards."""
    return bool(node.get("status", {}).get("nodeInfo", {}).get("bootID") == boot)


def is_dns(pod: Mapping[str, Any]) -> bool:
    """Whether a pod is cluster DNS, by the label that Kubernetes gives it, or by its name."""
    about = pod.get("metadata", {})
    labels = about.get("labels") or {}
    return labels.get("k8s-app") == "kube-dns" or str(about.get("name", "")).startswith("coredns-")


def proxy_synced() -> bool:
    """Whether kube-proxy says that it is well."""
    import http.client

    host, port, path = PROXY
    connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def main(arguments: list[str]) -> int:
    """Look once."""
    from pathlib import Path

    words, milestones = look(Path(arguments[0] if arguments else "/"))
    print("\n".join([" ".join(words.split()), *milestones]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
