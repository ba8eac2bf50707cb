"""What VM tests do with the workload on a node: wait for it, ask it, run shell beside it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import requests

from tasks.lib.formats.tree import Tree
from tasks.lib.vm.disks import write_data_disk
from tasks.lib.vm.hardware import LOOPBACK
from tasks.lib.vm.kube import Cluster, Object, condition
from tasks.lib.vm.machine import Machine
from tests.vm import web

DEPLOYMENT = "/apis/apps/v1/namespaces/default/deployments/web"
POD_SECONDS = 120
ASK_SECONDS = 10


def data_disk(folder: Path, size: int, archive: Path, files: Mapping[str, str] | None = None) -> Path:
    """A data disk of so many MiB with an archive of images to import, and other files."""
    disk, content = folder / "data.img", Tree()
    content.add_file(f"images/{archive.name}", archive)
    for name, text in (files or {}).items():
        content.add_file(name, text)
    write_data_disk(disk, size, content)
    return disk


def deploy(cluster: Cluster) -> None:
    """nginx runs behind its Service."""
    cluster.apply(web.deployment())
    cluster.apply(web.service())
    wait_available(cluster)


def wait_available(cluster: Cluster, timeout: float = POD_SECONDS) -> None:
    cluster.wait(DEPLOYMENT, lambda found: condition(found, "Available"), timeout, "nginx available")


def ask_node_port(machine: Machine, timeout: float = ASK_SECONDS, port: int = web.NODE_PORT) -> str:
    """The page through a NodePort, from outside the machine, or why there is none."""
    try:
        with requests.Session() as session:
            session.trust_env = False
            answer = session.get(f"http://{LOOPBACK}:{machine.port(port)}/", timeout=timeout)
        return answer.text
    except requests.RequestException as error:
        return str(error)


def pod_path(name: str) -> str:
    return f"/api/v1/namespaces/default/pods/{name}"


def wait_ended(cluster: Cluster, pod: Object, timeout: float = POD_SECONDS) -> str:
    """Wait until the pod's script has ended well; its output. The pod is removed."""
    name = pod["metadata"]["name"]
    ended = cluster.wait(
        pod_path(name),
        lambda found: found["status"].get("phase") in ("Succeeded", "Failed"),
        timeout,
        f"{name} ended",
    )
    output = cluster.logs(name)
    cluster.delete(pod)
    assert ended["status"]["phase"] == "Succeeded", output
    return output


def run_script(
    cluster: Cluster, name: str, script: str, *, privileged: bool = False, host_network: bool = False
) -> str:
    """Run shell in a pod; its output."""
    pod = web.shell_pod(name, script, privileged=privileged, host_network=host_network)
    cluster.apply(pod)
    return wait_ended(cluster, pod)
