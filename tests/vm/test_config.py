"""One YAML file makes it yours: found on every kind of medium, read by real Python, applied."""

from __future__ import annotations

import gzip
import json
import time
from pathlib import Path

import pytest

from tasks.lib.formats import fat
from tasks.lib.formats.tree import Tree
from tasks.lib.paths import TOP
from tasks.lib.process import run
from tasks.lib.vm.disks import write_data_disk
from tasks.lib.vm.hardware import Hardware
from tasks.lib.vm.kube import Cluster, Object
from tasks.lib.vm.machine import Machine, free_port
from tests.unit.targets import EPOCH
from tests.vm.conftest import Start
from tests.vm.node import (
    HANDOVER,
    READY,
    READY_SECONDS,
    fetch_kubeconfig,
    stretched,
    wait_booted,
    wait_log,
    wait_milestones,
    wait_port,
)
from tests.vm.shell import Key

BOOT_SECONDS = 90
MACHINE_SECONDS = 600
FILE = "etc-kubesolo/cloud-init.yaml"
STATIC = """#cloud-config
hostname: Edge-Node-01
network:
  mode: static
  interface: eth0
  address: 10.0.2.50/24
  gateway: 10.0.2.2
  dns: [10.0.2.3]
  search: [lan.example]
ntp:
  servers: [10.0.2.9]
"""
USER_DATA = "#cloud-config\nhostname: from-the-seed\n"
NETWORK_CONFIG = """version: 2
ethernets:
  first:
    match: {macaddress: "52:54:00:12:34:56"}
    addresses: [10.0.2.60/24, "fd00::60/64"]
    routes: [{to: default, via: 10.0.2.2}]
vlans:
  vlan7: {id: 7, link: first, addresses: [192.168.7.2/24]}
"""

pytestmark = pytest.mark.timeout(MACHINE_SECONDS + 60)


def data_disk(folder: Path, files: dict[str, str]) -> Path:
    """A data partition with these files."""
    disk, tree = folder / "data.img", Tree()
    for name, text in files.items():
        tree.add_file(name, text.encode(), 0o600)
    write_data_disk(disk, 128, tree if files else None)
    return disk


def stick(folder: Path, label: str, files: dict[str, str]) -> Path:
    """A stick without partitions, FAT as from any workstation."""
    tree = Tree()
    for name, text in files.items():
        tree.add_file(name, text.encode())
    (folder / "scratch").mkdir(exist_ok=True)
    fat.write(tree, folder / "stick.img", EPOCH, 1, label, folder / "scratch")
    return folder / "stick.img"


def switch_off(machine: Machine) -> None:
    machine.host.ask("poweroff")
    machine.wait_end(stretched(60))


def test_a_stick_is_read_once_and_may_be_pulled(start: Start, stub_iso: Path, tmp_path: Path) -> None:
    disk = data_disk(tmp_path, {})
    plugged = stick(tmp_path, "KSOLOCONF", {"cloud-init.yaml": STATIC})
    machine = start(Hardware(cdrom=stub_iso, data=disk, usb=plugged), MACHINE_SECONDS)
    passed = wait_booted(machine, BOOT_SECONDS)
    log = machine.host.ask("log")
    assert "config-applied" in passed, log
    assert "host name edge-node-01" in log
    assert "address: 10.0.2.50/24 on eth0" in log
    machine.serial.wait("node edge-node-01, 10.0.2.50 (eth0)", stretched(60))
    switch_off(machine)
    again = start(Hardware(cdrom=stub_iso, data=disk), MACHINE_SECONDS)
    passed = wait_booted(again, BOOT_SECONDS)
    log = again.host.ask("log")
    assert "the last configuration stays in force" in log
    assert "config-applied" not in passed, "Python does not run for what has been read"
    again.serial.wait("node edge-node-01, 10.0.2.50 (eth0)", stretched(60))


def test_a_cloud_seed_with_netplan(start: Start, stub_iso: Path, tmp_path: Path) -> None:
    disk = data_disk(tmp_path, {})
    seed = stick(
        tmp_path,
        "CIDATA",
        {"user-data": USER_DATA, "meta-data": "instance-id: i-1\n", "network-config": NETWORK_CONFIG},
    )
    machine = start(Hardware(cdrom=stub_iso, data=disk, usb=seed), MACHINE_SECONDS)
    wait_booted(machine, BOOT_SECONDS)
    log = machine.host.ask("log")
    assert "host name from-the-seed" in log
    assert "address: 10.0.2.60/24 on eth0" in log
    addresses = machine.host.ask("addresses")
    assert "fd00::60/64" in addresses
    assert "eth0.7" in addresses
    assert "192.168.7.2/24" in addresses


def test_a_bad_file_starts_all_the_same_and_says_where(start: Start, stub_iso: Path, tmp_path: Path) -> None:
    text = STATIC.replace("10.0.2.50/24", "10.0.2.500/24").replace("hostname", "hostnam")
    disk = data_disk(tmp_path, {FILE: text})
    machine = start(Hardware(cdrom=stub_iso, data=disk), MACHINE_SECONDS)
    wait_booted(machine, BOOT_SECONDS)
    machine.serial.wait("10.0.2.15 (eth0)", stretched(60))
    shown = machine.serial.text()
    assert "cloud-init.yaml:6:" in shown, "the line of the address"
    assert "hostname" in shown, "what was meant"


REACHED = """#cloud-config
hostname: reached
hostnam: is a slip
ssh:
  enabled: true
  authorized_keys:
    - {key}
kubeconfig:
  enabled: true
  token: {token}
kubesolo:
  apiserver-extra-sans: [edge.example]
"""
TOKEN = "a-token-of-the-test-0123"
PROBLEM = "ConfigurationProblem"


def conditions(node: Object, status: str) -> list[Object]:
    """The node's conditions about its configuration that have this status."""
    found: list[Object] = node["status"]["conditions"]
    return [row for row in found if (row["type"], row["status"]) == (PROBLEM, status)]


@pytest.mark.timeout(1200)
def test_the_node_is_reached_as_configured(start: Start, iso: Path, tmp_path: Path) -> None:
    key = Key.make(tmp_path)
    disk, tree = tmp_path / "data.img", Tree()
    tree.add_file(FILE, REACHED.format(key=key.public, token=TOKEN).encode(), 0o600)
    write_data_disk(disk, 1024, tree)
    forwards = {22: free_port(), 6443: free_port(), HANDOVER: free_port()}
    machine = start(Hardware(cdrom=iso, data=disk, forwards=forwards), 1100)
    wait_milestones(machine, READY, READY_SECONDS)
    wait_port(machine, HANDOVER, 90)
    assert fetch_kubeconfig(machine, "wrong")[0] == 401
    time.sleep(2)
    status, text = fetch_kubeconfig(machine, TOKEN)
    assert status == 200
    assert "server: https://10.0.2.15:6443" in text
    cluster = Cluster(text, machine.port(6443))
    (node,) = cluster.get("/api/v1/nodes")["items"]
    assert node["metadata"]["name"] == "reached"
    said = "cloud-init.yaml:3:1: warning: hostnam: unknown key"
    cluster.wait(
        "/api/v1/nodes/reached",
        lambda found: any(said in row["message"] for row in conditions(found, "True")),
        60,
        "the condition that names the slip",
    )
    events = cluster.get("/api/v1/namespaces/default/events")["items"]
    (event,) = [event for event in events if event["reason"] == PROBLEM]
    assert said in event["message"]
    assert (event["type"], event["involvedObject"]["name"]) == ("Warning", "reached")
    cluster.close()
    words = key.words(machine)
    found = json.loads(run([*words, "kubesolo-os status --json || :"]).stdout)
    assert found["name"] == "reached"
    (problem,) = found["problems"]
    assert problem.startswith("configuration: ")
    assert said in problem
    assert "edge.example" in run([*words, "cat /run/kubesolo/payload.args"]).stdout.decode()
    archive = run([*words, "kubesolo-os support --out /run/s.tgz >/dev/null && cat /run/s.tgz"]).stdout
    assert TOKEN.encode() not in gzip.decompress(archive)
    (tmp_path / "another").mkdir()
    assert Key.make(tmp_path / "another").on(machine, "true").returncode


EXAMPLES = TOP / "docs" / "examples"
# Of each: the name, an address, and what the node has made of it; the second card has the MAC of the test's.
SHOWN = {
    "airgapped": ("plant-7-line-3", "10.7.3.10/24", "--pod-cidr=172.20.0.0/16"),
    "dhcp": ("edge-node-01", "10.0.2.15/24", "edge-node-01.example.com"),
    "portainer-edge": ("kiosk-17", "10.0.2.15/24", ""),
    "ssh": ("lab-node", "10.0.2.15/24", "SSH: keys of the configuration may log in"),
    "static-ip": ("edge-node-02", "192.168.1.100/24", ""),
    "updates": ("shop-042", "10.0.2.15/24", ""),
    "two-cards": ("cell-gateway", "172.16.40.1/24", "172.16.40.1"),
    "vlan": ("gateway-03", "10.110.0.5/24", ""),
}
ALWAYS = ("static-ip",)


@pytest.mark.parametrize(
    "name", [name if name in ALWAYS else pytest.param(name, marks=pytest.mark.long) for name in SHOWN]
)
def test_an_example_does_what_it_says(start: Start, stub_iso: Path, tmp_path: Path, name: str) -> None:
    host, address, more = SHOWN[name]
    text = (EXAMPLES / f"{name}.yaml").read_text().replace("02:00:5e:10:00:02", "52:54:00:12:34:57")
    disk = data_disk(tmp_path, {FILE: text})
    wire = (tmp_path / "here", tmp_path / "there") if name == "two-cards" else None
    machine = start(Hardware(cdrom=stub_iso, data=disk, wire=wire), MACHINE_SECONDS)
    wait_booted(machine, BOOT_SECONDS)
    machine.serial.wait(f"node {host}, ", stretched(60))
    log = machine.host.ask("log")
    assert address in machine.host.ask("addresses"), log
    # Services say what they do once they do it, which is after the last stage.
    log = wait_log(machine, more, 60)
    assert "cloud-init.yaml" not in log, "nothing is wrong with it"
    assert "aHR0cHM6Ly9w" not in log, "the key is not in the log"


def test_every_example_is_tried() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.yaml")} == set(SHOWN)
