"""Every way in which the product's bytes can be given to a machine, and the smallest machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.lib.vm.disks import write_data_disk
from tasks.lib.vm.hardware import Hardware
from tests.vm.conftest import Start
from tests.vm.node import READY, READY_SECONDS, stretched, wait_booted, wait_milestones

BOOT_SECONDS = 60
# On a busy host; the waits themselves end much earlier on an idle one.
MACHINE_SECONDS = 900

pytestmark = pytest.mark.timeout(MACHINE_SECONDS)


def test_uefi_boot_from_cd_to_a_ready_node_in_512_mb(start: Start, iso: Path, tmp_path: Path) -> None:
    disk = tmp_path / "data.img"
    write_data_disk(disk, 1024)
    machine = start(Hardware(cdrom=iso, data=disk, firmware="uefi", memory=512), MACHINE_SECONDS)
    wait_booted(machine, BOOT_SECONDS)
    passed = wait_milestones(machine, READY, READY_SECONDS)
    assert passed["node-ready"] < stretched(120)
    log = machine.host.ask("log")
    assert "Out of memory" not in log


@pytest.mark.parametrize("firmware", [pytest.param("bios", marks=pytest.mark.long), "uefi"])
def test_boot_from_usb_without_data_disk(start: Start, iso: Path, firmware: str) -> None:
    hardware = Hardware(usb=iso, firmware="uefi" if firmware == "uefi" else "bios")
    machine = start(hardware, MACHINE_SECONDS)
    passed = wait_booted(machine, BOOT_SECONDS)
    assert passed["stage-90-kubesolo"] < stretched(30)
    mounts = {line.split()[1]: line.split()[2] for line in machine.host.ask("mounts").splitlines()}
    assert mounts["/var/lib/kubesolo"] == "tmpfs"
    assert "RAM" in machine.host.ask("log"), "that nothing will be kept is said"
