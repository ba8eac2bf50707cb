"""The disk image starts with both firmwares and on every kind of disk; root and data lie on that disk."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest

from tasks.lib.vm.disks import copy_disk
from tasks.lib.vm.hardware import Hardware
from tests.vm.conftest import Start
from tests.vm.node import wait_booted

BOOT_SECONDS = 90
MACHINE_SECONDS = 400

pytestmark = pytest.mark.timeout(MACHINE_SECONDS + 30)


@pytest.fixture
def disk(stub_disk: Path, tmp_path: Path) -> Path:
    """A copy to write to."""
    return copy_disk(stub_disk, tmp_path / "disk.img")


@pytest.mark.parametrize(
    ("firmware", "bus", "device"),
    [
        pytest.param("bios", "virtio", "vda", marks=pytest.mark.long),
        ("uefi", "virtio", "vda"),
        pytest.param("bios", "sata", "sda", marks=pytest.mark.long),
        pytest.param("uefi", "sata", "sda", marks=pytest.mark.long),
        pytest.param("bios", "nvme", "nvme0n1p", marks=pytest.mark.long),
        pytest.param("uefi", "nvme", "nvme0n1p", marks=pytest.mark.long),
        pytest.param("bios", "usb", "sda", marks=pytest.mark.long),
        pytest.param("uefi", "usb", "sda", marks=pytest.mark.long),
    ],
)
def test_root_and_data_lie_on_the_disk_that_was_started(
    start: Start,
    disk: Path,
    firmware: Literal["bios", "uefi"],
    bus: Literal["virtio", "sata", "nvme", "usb"],
    device: str,
) -> None:
    machine = start(Hardware(data=disk, data_bus=bus, firmware=firmware), MACHINE_SECONDS)
    wait_booted(machine, BOOT_SECONDS)
    mounts = {row.split()[1]: row.split() for row in machine.host.ask("mounts").splitlines()}
    assert mounts["/mnt/data"][0] == f"/dev/{device}4"
    assert mounts["/run/kubesolo-medium"][0] == f"/dev/{device}2", "the root images are mounted in place"
    assert "RootImages: 0 kB" in machine.host.ask("meminfo")
