"""One node for all tests, with what a module's manifest says while its tests run.

All pods of all modules at once are more than an emulated node bears; those of one module start side by side.
"""

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
from tests.vm.node import API, READY, READY_SECONDS, wait_cluster, wait_log, wait_milestones
from tests.vm.workload import data_disk

NAMESPACE = "/api/v1/namespaces/default"
MANIFESTS = Path(__file__).parent / "manifests"
MEMORY_MIB = 2048
DISK_MIB = 4096
MACHINE_SECONDS = 7200
POD_SECONDS = 180
IMPORT_SECONDS = 120
# Not validated on this side, which would have the API describe itself first.
APPLY = ("apply", "--server-side", "--validate=false", "-f", "-")
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
        return self.kubectl(*APPLY, *words, text=manifest(text), timeout=APPLY_SECONDS)

    def delete(self, text: str) -> None:
        """kubectl delete of a manifest, without waiting for it."""
        self.kubectl("delete", "--ignore-not-found", "--wait=false", "-f", "-", text=manifest(text))

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
    """The node, Ready, with what is common to all modules."""
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
        cluster, kubectl = wait_cluster(machine, READY_SECONDS), kubectl_of(machine, folder)
        wait_log(machine, f"imported {nginx_reference()}", IMPORT_SECONDS)
        (node,) = cluster.get("/api/v1/nodes")["items"]
        used = Everyday(machine, cluster, kubectl, node["metadata"]["name"], start)
        used.apply((MANIFESTS / "common.yaml").read_text())
        yield used
        used.cluster.close()


@pytest.fixture(scope="module", autouse=True)
def objects(request: pytest.FixtureRequest, everyday: Everyday) -> Iterator[None]:
    """What the module's tests look at, from manifests/; it goes with them."""
    path = MANIFESTS / f"{request.module.__name__.rpartition('.test_')[2]}.yaml"
    if not path.exists():
        yield
        return
    everyday.apply(path.read_text())
    yield
    everyday.delete(path.read_text())
