"""Where the root and the data may lie: an SD card, and the stick that the ISO was written to."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest

from tasks.lib.boot import sticks
from tasks.lib.boot.menu import DATA, SERIAL_LAST
from tasks.lib.debian import tools
from tasks.lib.process import run
from tasks.lib.vm.disks import MIB, write_data_disk
from tasks.lib.vm.hardware import Hardware
from tasks.lib.vm.machine import Machine
from tasks.lib.vm.media import BootFiles
from tests.vm.conftest import Start
from tests.vm.node import wait_booted

BOOT_SECONDS = 90
MACHINE_SECONDS = 600
STICK_MIB = 128
DATA_MIB = 64
# Requests a second: a worn USB stick.
SLOW_REQUESTS = 5
SLOW_SECONDS = 150

pytestmark = pytest.mark.timeout(MACHINE_SECONDS + 30)


@pytest.fixture
def stick(stub_iso: Path, tmp_path: Path) -> Path:
    """The ISO on a stick as ./doit usb writes it, a data partition added behind it as the documents say."""
    path, data = tmp_path / "stick.img", tmp_path / "partition.img"
    with path.open("wb") as stream:
        stream.truncate(STICK_MIB * MIB)
    sticks.write(stub_iso, path, lambda done, total: None)
    with path.open("r+b") as stream:
        new = ["-n", f"0:0:+{DATA_MIB}M", "-c", "4:KSOLODATA"]
        run([*tools.command("sgdisk"), "-e", *new, path])
        text = run([*tools.command("sgdisk"), "-i", "4", path]).stdout.decode()
        first = next(line.split()[2] for line in text.splitlines() if line.startswith("First sector"))
        write_data_disk(data, DATA_MIB)
        stream.seek(int(first) * 512)
        stream.write(data.read_bytes())
    return path


def data_device(machine: Machine) -> str:
    """What is mounted at /mnt/data."""
    rows = (line.split() for line in machine.host.ask("mounts").splitlines())
    return next(row[0] for row in rows if row[1] == "/mnt/data")


@pytest.mark.parametrize("firmware", ["bios", pytest.param("uefi", marks=pytest.mark.long)])
def test_data_lies_on_the_stick_behind_the_iso(
    start: Start, stick: Path, firmware: Literal["bios", "uefi"]
) -> None:
    machine = start(Hardware(usb=stick, stick_writable=True, firmware=firmware), MACHINE_SECONDS)
    wait_booted(machine, BOOT_SECONDS)
    assert data_device(machine) == "/dev/sda4"


def test_write_protected_data_is_said_at_boot(start: Start, stick: Path) -> None:
    machine = start(Hardware(usb=stick), MACHINE_SECONDS)
    wait_booted(machine, BOOT_SECONDS)
    assert "/dev/sda4 is write-protected" in machine.serial.text()
    assert data_device(machine) != "/dev/sda4"


def test_slow_usb_disk_is_waited_for(start: Start, stub_iso: Path, tmp_path: Path) -> None:
    """The kernel has the disk long before it has its partitions and its label."""
    disk = tmp_path / "data.img"
    write_data_disk(disk, DATA_MIB)
    hardware = Hardware(cdrom=stub_iso, data=disk, data_bus="usb", data_requests=SLOW_REQUESTS)
    machine = start(hardware, MACHINE_SECONDS)
    wait_booted(machine, SLOW_SECONDS)
    assert data_device(machine) == "/dev/sda"


def test_sd_card_carries_root_and_data(start: Start, stick: Path, stub_files: BootFiles) -> None:
    hardware = Hardware(
        card=stick, kernel=stub_files.kernel, initrd=stub_files.initrd, append=f"{DATA} {SERIAL_LAST}"
    )
    machine = start(hardware, MACHINE_SECONDS)
    wait_booted(machine, BOOT_SECONDS)
    assert data_device(machine) == "/dev/mmcblk0p4"
