"""The node that the suite runs against: a virtual machine with the suite's images on its data disk."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

from tasks.lib.errors import BuildError
from tasks.lib.formats.tree import Tree
from tasks.lib.vm import kube
from tasks.lib.vm.accel import acceleration
from tasks.lib.vm.disks import write_data_disk
from tasks.lib.vm.hardware import Hardware
from tasks.lib.vm.hostport import NotYetError
from tasks.lib.vm.kube import Cluster, Object
from tasks.lib.vm.machine import Machine
from tasks.lib.vm.patience import stretched

API = 6443
DISK_MIB = 8192
READY = ("node-ready", "kube-proxy-synced", "coredns-running")
READY_SECONDS = 300
IMAGES_SECONDS = 300
PAUSE_SECONDS = 3


@contextlib.contextmanager
def node(
    iso: Path, kernel: Path, archive: Path, folder: Path, memory: int, cpus: int
) -> Iterator[tuple[Path, Cluster]]:
    """A node that is Ready; its kubeconfig and its API. It is gone when the block is left.

    kernel: what a probe guest boots. archive: of the suite's images. folder: for disk and console log.
    Raises BuildError when it does not become Ready.
    """
    folder.mkdir(parents=True, exist_ok=True)
    disk, content = folder / "data.img", Tree()
    content.add_file(f"images/{archive.name}", archive)
    write_data_disk(disk, DISK_MIB, content)
    hardware = Hardware(memory=memory, cpus=cpus, cdrom=iso, data=disk, forwards={API: 0})
    try:
        with Machine(hardware, acceleration(kernel), folder, None) as machine:
            wait_ready(machine)
            config = folder / "kubeconfig"
            config.unlink(missing_ok=True)
            config.touch(0o600)
            text = machine.host.wait("kubeconfig", stretched(60))
            config.write_text(kube.for_host(text, machine.port(API)))
            with contextlib.closing(Cluster(text, machine.port(API))) as cluster:
                yield config, cluster
    finally:
        disk.unlink(missing_ok=True)


def wait_ready(machine: Machine) -> None:
    """Wait for the milestones of a node that works; BuildError when they do not come."""
    deadline = time.monotonic() + stretched(READY_SECONDS)
    while True:
        passed: dict[str, float] = {}
        with contextlib.suppress(NotYetError):
            passed = machine.host.milestones(stretched(30))
        if set(READY) <= set(passed):
            return
        if time.monotonic() > deadline:
            raise BuildError(
                f"the node is not ready; it has passed {', '.join(passed)}\n{machine.serial.tail()}"
            )
        time.sleep(PAUSE_SECONDS)


def wait_images(cluster: Cluster, image: str) -> None:
    """Wait until a pod of this image runs without anything being pulled."""
    container = {"name": "main", "image": image, "imagePullPolicy": "Never"}
    spec = {"containers": [container], "terminationGracePeriodSeconds": 0}
    pod: Object = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "has-images"}, "spec": spec}
    # The default service account may still be on its way.
    cluster.retry(lambda: str(cluster.apply(pod)["kind"]), bool, READY_SECONDS, "the first pod")
    cluster.wait(
        "/api/v1/namespaces/default/pods/has-images",
        lambda found: found["status"].get("phase") == "Running",
        IMAGES_SECONDS,
        f"the images of {image}",
    )
    cluster.delete(pod)
