"""One YAML file makes it yours: found on every kind of medium, read by real Python, applied."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.lib.formats import fat
from tasks.lib.formats.tree import Tree
from tasks.lib.vm.disks import write_data_disk
from tasks.lib.vm.hardware import Hardware
from tasks.lib.vm.machine import Machine
from tests.unit.targets import EPOCH
from tests.vm.conftest import Start
from tests.vm.node import stretched, wait_booted

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
