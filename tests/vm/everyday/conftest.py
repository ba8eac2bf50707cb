"""One node with everything in manifests/ applied at once, so that one wait is a wait for all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tasks.lib.vm.accel import Acceleration
from tasks.lib.vm.hardware import Hardware
from tasks.lib.vm.kube import Cluster, Object
from tasks.lib.vm.machine import Machine
from tasks.testimages import nginx_reference
from tests.vm.conftest import Start, start_again, starter
from tests.vm.kubectl import Kubectl, kubectl_of
from tests.vm.node import API, READY, connect, wait_milestones
from tests.vm.workload import data_disk

NAMESPACE = "/api/v1/namespaces/default"
MANIFESTS = Path(__file__).parent / "manifests"
# Some forty pods at once: more than a node of 1 GiB is meant for.
MEMORY_MIB = 3072
DISK_MIB = 4096
MACHINE_SECONDS = 7200
READY_SECONDS = 300
POD_SECONDS = 180
# Cluster DNS comes later; the tests that ask it wait for it.
RUNS = ("node-ready", "readyz", "kube-proxy-synced")
APPLY = ("apply", "--server-side", "-f", "-")
APPLY_SECONDS = 300
NODE_PORT, HOST_PORT = 30180, 8181


@dataclass
class Everyday:
    """A node and the ways to talk to it."""

    machine: Machine
    cluster: Cluster
    kubectl: Kubectl
    node: str
    start: Start

    def restart(self) -> None:
        """Switch the node off and on; it is Ready again, and cluster DNS answers."""
        self.machine = start_again(self.start, self.machine, MACHINE_SECONDS)
        wait_milestones(self.machine, READY, READY_SECONDS)

    def apply(self, text: str, *words: str) -> str:
        """kubectl apply of a manifest in which @image@ is the tests' image."""
        return self.kubectl(*APPLY, *words, text=manifest(text))

    def pod(self, name: str) -> Object:
        """A pod as it is now."""
        return self.cluster.get(pod_path(name))

    def wait_pod(self, name: str, wanted: Callable[[Object], bool], what: str) -> Object:
        """Wait for a state of a pod."""
        return self.cluster.wait(pod_path(name), wanted, POD_SECONDS, f"{name}: {what}")

    def wait_log(self, name: str, text: str, container: str = "") -> str:
        """Wait until a pod's log has this; the log."""
        path = f"{pod_path(name)}/log"
        more = {"container": container} if container else {}
        return self.cluster.retry(
            lambda: self.cluster.text(path, **more), lambda log: text in log, POD_SECONDS, f"{name}: {text!r}"
        )

    def output(self, name: str, container: str = "") -> str:
        """What a pod that ends has printed, when it has ended well."""
        ended = self.wait_pod(
            name, lambda pod: pod["status"].get("phase") in ("Succeeded", "Failed"), "ended"
        )
        more = {"container": container} if container else {}
        log = self.cluster.text(f"{pod_path(name)}/log", **more)
        assert ended["status"]["phase"] == "Succeeded", log
        return log

    def until(self, *words: str | Path, text: str = "", wanted: str = "") -> str:
        """kubectl again and again until it succeeds and prints this; what it prints."""
        return self.cluster.retry(
            lambda: self.kubectl(*words, text=text),
            lambda said: wanted in said,
            POD_SECONDS,
            " ".join(map(str, words)),
        )

    def shell(self, pod: str, script: str) -> str:
        """What a script prints in a pod that runs."""
        return self.kubectl("exec", pod, "--", "sh", "-c", script)


def pod_path(name: str) -> str:
    """Of the default namespace."""
    return f"{NAMESPACE}/pods/{name}"


def manifest(text: str) -> str:
    """A manifest with the name of the tests' image."""
    return text.replace("@image@", nginx_reference())


@pytest.fixture(scope="package")
def everyday(
    request: pytest.FixtureRequest,
    accelerator: Acceleration,
    iso: Path,
    nginx_archive: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Everyday]:
    """The node, Ready, with all manifests applied."""
    folder = tmp_path_factory.mktemp("everyday")
    hardware = Hardware(
        memory=MEMORY_MIB,
        cdrom=iso,
        data=data_disk(folder, DISK_MIB, nginx_archive),
        forwards={API: 0, NODE_PORT: 0, HOST_PORT: 0},
    )
    starts: Iterator[Start] = starter(request, accelerator, "everyday")
    for start in starts:
        machine = start(hardware, MACHINE_SECONDS)
        wait_milestones(machine, RUNS, READY_SECONDS)
        cluster, kubectl = connect(machine), kubectl_of(machine, folder)
        (node,) = cluster.get("/api/v1/nodes")["items"]
        used = Everyday(machine, cluster, kubectl, node["metadata"]["name"], start)
        cluster.wait(f"{NAMESPACE}/serviceaccounts/default", bool, POD_SECONDS, "the pods' account")
        # Not validated on this side, which would have the API describe itself first.
        wanted = "---\n".join(path.read_text() for path in sorted(MANIFESTS.glob("*.yaml")))
        used.kubectl(*APPLY, "--validate=false", text=manifest(wanted), timeout=APPLY_SECONDS)
        yield used
        used.cluster.close()
