"""Scripts of the Live CD's Kubernetes layer, against a fake root, with fake programs that log their calls."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tasks import livekubernetes
from tasks.lib.paths import TOP

FOLDER = TOP / "live" / "kubernetes"
SCRIPTS = FOLDER / "usr" / "lib" / "k8s-livecd"
FAKE = '#!/bin/sh\nprintf "%s\\n" "${0##*/} $*" >>"$ROOT/calls"\n'


@dataclass
class Machine:
    """A root folder, and programs that only log."""

    root: Path

    def fake(self, name: str, body: str = "") -> None:
        path = self.root / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(FAKE + body)
        path.chmod(0o755)

    def write(self, path: str, text: str) -> None:
        place = self.root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)

    def run(self, script: str, **settings: str) -> subprocess.CompletedProcess[str]:
        (self.root / "calls").write_text("")
        env = {"PATH": f"{self.root}/bin:{os.environ['PATH']}", "ROOT": str(self.root), **settings}
        return subprocess.run(
            ["sh", SCRIPTS / script], env=env, capture_output=True, text=True, check=False, timeout=60
        )

    def calls(self) -> list[str]:
        return (self.root / "calls").read_text().splitlines()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def with_images(machine: Machine, ctr: str = "") -> None:
    machine.fake("ctr", ctr)
    machine.write("usr/share/k8s-livecd/images/digests", "aa etcd.tar\nbb pause.tar\n")


def test_images_are_imported_once(machine: Machine) -> None:
    with_images(machine)
    assert machine.run("import-images").returncode == 0
    assert [call.rpartition("/")[2] for call in machine.calls()] == ["etcd.tar", "pause.tar"]
    assert all(call.startswith("ctr --namespace k8s.io images import ") for call in machine.calls())
    machine.run("import-images")
    assert machine.calls() == []


def test_a_new_image_is_imported_alone(machine: Machine) -> None:
    with_images(machine)
    machine.run("import-images")
    machine.write("usr/share/k8s-livecd/images/digests", "aa etcd.tar\ncc pause.tar\n")
    machine.run("import-images")
    assert [call.rpartition("/")[2] for call in machine.calls()] == ["pause.tar"]


def test_a_failed_import_fails_and_is_tried_again(machine: Machine) -> None:
    with_images(machine, "case $* in *pause*) exit 1 ;; esac\n")
    assert machine.run("import-images").returncode != 0
    with_images(machine)
    assert machine.run("import-images").returncode == 0
    assert [call.rpartition("/")[2] for call in machine.calls()] == ["pause.tar"]


NODES = """\
first 10.244.0.0/24 192.0.2.1
second 192.0.2.2
second 10.244.1.0/24 192.0.2.2
"""


def network(machine: Machine, nodes: str = NODES, name: str = "first") -> subprocess.CompletedProcess[str]:
    """Run pod-network on a node that sees these; the list ends, as it does now and then."""
    machine.write("nodes", nodes)
    machine.fake("kubectl", 'case $* in *watch*) cat "$ROOT/nodes" ;; esac\n')
    machine.fake("nft", 'case $1 in -f) cat >"$ROOT/rules" ;; esac\n')
    machine.fake("ip")
    for file in ("cni.conflist", "node-readers.yaml"):
        machine.write(f"usr/share/k8s-livecd/{file}", (FOLDER / "usr/share/k8s-livecd" / file).read_text())
    return machine.run("pod-network", NODE=name)


def test_pods_of_the_node_are_on_its_bridge_and_others_behind_a_route(machine: Machine) -> None:
    result = network(machine)
    assert result.returncode == 0, result.stderr
    conflist = json.loads((machine.root / "etc/cni/net.d/10-k8s-livecd.conflist").read_text())
    bridge, portmap = conflist["plugins"]
    assert bridge["ipam"]["ranges"] == [[{"subnet": "10.244.0.0/24"}]]
    assert portmap["backend"] == "nftables"
    assert [call for call in machine.calls() if call.startswith("ip ")] == [
        "ip route replace 10.244.1.0/24 via 192.0.2.2"
    ]
    assert "masquerade" in (machine.root / "rules").read_text()
    assert "nft add element ip k8s-livecd pods { 10.244.1.0/24 }" in machine.calls()
    assert list((machine.root / "etc/cni/net.d").iterdir()) == [
        machine.root / "etc/cni/net.d/10-k8s-livecd.conflist"
    ]


def test_the_other_node_has_the_other_share(machine: Machine) -> None:
    network(machine, name="second")
    text = (machine.root / "etc/cni/net.d/10-k8s-livecd.conflist").read_text()
    assert "10.244.1.0/24" in text
    assert "ip route replace 10.244.0.0/24 via 192.0.2.1" in machine.calls()


def test_without_a_share_there_is_no_network_yet(machine: Machine) -> None:
    network(machine, "first 192.0.2.1\n")
    assert not (machine.root / "etc/cni").exists()


def test_only_the_administrator_lets_nodes_see_each_other(machine: Machine) -> None:
    network(machine)
    assert not any("apply" in call for call in machine.calls())
    machine.write("etc/kubernetes/admin.conf", "")
    network(machine)
    assert [call for call in machine.calls() if "apply" in call] == [
        f"kubectl --kubeconfig {machine.root}/etc/kubernetes/admin.conf apply -f "
        f"{machine.root}/usr/share/k8s-livecd/node-readers.yaml"
    ]


def test_the_pod_network_of_kubeadm_is_ipv4() -> None:
    """The rules are written for it."""
    text = (FOLDER / livekubernetes.KUBEADM).read_text()
    assert "podSubnet: 10.244.0.0/16" in text
