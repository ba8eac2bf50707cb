"""Clusters that kubeadm makes on the Live CD without a network: one machine, and two."""

from __future__ import annotations

import json
import shlex
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest
import requests

from tasks import livecluster
from tasks.lib.vm import livevm
from tasks.lib.vm.hardware import LOOPBACK
from tasks.liveseed import write_seed
from tests.vm import live, web
from tests.vm.conftest import Start
from tests.vm.live import LiveNode
from tests.vm.node import stretched
from tests.vm.shell import Key

MACHINE_SECONDS = 7200
INIT_SECONDS = 900
READY_SECONDS = 600
PAGE_SECONDS = 300
CLUSTER = "/usr/lib/k8s-livecd/cluster"

pytestmark = [pytest.mark.long, pytest.mark.timeout(MACHINE_SECONDS)]


def apply(node: LiveNode, document: object) -> None:
    node.run(f"printf %s {shlex.quote(json.dumps(document))} | {live.ADMIN} kubectl apply -f -")


def wait_ready(node: LiveNode, count: int = 1) -> None:
    """All nodes are Ready, and what belongs to the cluster runs."""
    ready = "kubectl wait --for=condition=Ready --timeout=10s"
    node.wait(f"test $({live.ADMIN} kubectl get nodes -o name | wc -l) = {count}", READY_SECONDS)
    node.wait(f"{live.ADMIN} {ready} nodes --all", READY_SECONDS)
    node.wait(f"{live.ADMIN} {ready} -n kube-system pods --all", READY_SECONDS)


def import_image(node: LiveNode, archive: Path) -> None:
    words = [*node.key.words(node.machine), "ctr -n k8s.io images import -"]
    with archive.open("rb") as stream:
        subprocess.run([str(word) for word in words], stdin=stream, check=True, timeout=stretched(300))


def wait_page(node: LiveNode) -> None:
    """The page through the NodePort, from outside the machine."""
    deadline, said = time.monotonic() + stretched(PAGE_SECONDS), ""
    with requests.Session() as session:
        session.trust_env = False
        while web.PAGE not in said:
            assert time.monotonic() < deadline, f"{said}\n{node.kubectl('get pods -A -o wide')}"
            time.sleep(5)
            try:
                said = session.get(f"http://{LOOPBACK}:{node.machine.port(web.NODE_PORT)}/", timeout=10).text
            except requests.RequestException as error:
                said = str(error)


def test_one_machine_offline(start: Start, live_iso: Path, nginx_archive: Path, tmp_path: Path) -> None:
    """init, Ready, DNS, nginx from an archive; after a restart all of it is there again by itself."""
    key = Key.make(tmp_path)
    seed, disk = live.write_seed(tmp_path, key), live.blank_disk(tmp_path / "disk.img")
    described = replace(live.hardware(live_iso, seed, disk), forwards={22: 0, web.NODE_PORT: 0})
    power_on = time.monotonic()
    node = LiveNode(start(described, MACHINE_SECONDS), key)
    node.wait_session()
    said = node.run(f"{CLUSTER} init 2>&1", INIT_SECONDS)
    assert "Your Kubernetes control-plane has initialized successfully" in said
    print(f"kubeadm init has ended {time.monotonic() - power_on:.0f} s after power-on")
    wait_ready(node)
    print(f"the node is Ready, and CoreDNS, {time.monotonic() - power_on:.0f} s after power-on")
    assert "coredns" in node.kubectl("get pods -n kube-system --field-selector=status.phase=Running")
    import_image(node, nginx_archive)
    apply(node, web.deployment())
    apply(node, web.service())
    wait_page(node)
    uid = node.kubectl("get deployment web -o jsonpath={.metadata.uid}")
    node.reboot()
    node.wait(f"{live.ADMIN} kubectl get nodes", READY_SECONDS)
    wait_ready(node)
    assert node.kubectl("get deployment web -o jsonpath={.metadata.uid}") == uid
    wait_page(node)
    assert "already" in node.run(f"{CLUSTER} init")


def test_two_machines(start: Start, live_iso: Path, nginx_archive: Path, tmp_path: Path) -> None:
    """As live-vm --nodes 2 starts them; a pod on the second is reached from the first."""
    key = Key.make(tmp_path)
    setup = livevm.Setup(live_iso, live.MEMORY, 2, 12288)
    nodes = []
    for number, told in enumerate(livecluster.seeds((key.public,), 2, init=True, folder=tmp_path), 1):
        seed = tmp_path / f"seed-{number}.iso"
        write_seed(told.user_data(), told.network, seed, live.EPOCH)
        livevm.keep_disk(livevm.disk(tmp_path, number), setup.disk_size)
        described = livevm.hardware(setup, tmp_path, number, seed, 0, wired=True)
        nodes.append(LiveNode(start(described, MACHINE_SECONDS), key, told.hostname))
    for node in nodes:
        node.wait_session()
    first, second = nodes
    first.run("cloud-init status --wait", INIT_SECONDS * 2)
    wait_ready(first, 2)
    import_image(second, nginx_archive)
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "there"},
        "spec": {"nodeName": second.hostname, "containers": [web.container("nginx")]},
    }
    apply(first, pod)
    asked = "kubectl get pod there -o jsonpath={.status.podIP} | grep ."
    address = first.wait(f"{live.ADMIN} {asked}", PAGE_SECONDS)
    assert web.PAGE in first.wait(f"curl -s -m 5 http://{address.strip()}/", PAGE_SECONDS)
