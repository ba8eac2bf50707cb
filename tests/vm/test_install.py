"""From the ISO to an empty disk, and the node that starts from it; what is refused leaves the disk alone."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest

from tasks.diskimage import LAYOUT
from tasks.lib.boot.menu import DATA, SERIAL_LAST
from tasks.lib.debian import tools
from tasks.lib.formats.gpt import Partition
from tasks.lib.process import run
from tasks.lib.vm.hardware import Hardware
from tasks.lib.vm.machine import Machine
from tasks.lib.vm.media import BootFiles
from tests.powercut import slotdisk
from tests.powercut.faulty import FaultyDisk
from tests.vm.conftest import Start
from tests.vm.node import stretched, wait_booted, wait_milestones

BOOT_SECONDS = 90
INSTALL_SECONDS = 180
MACHINE_SECONDS = 700
EIGHT_GB = 8 << 30
PROMPT = "kubesolo-emergency#"
# Of a slot, only what files hold is read and written in requests of so many bytes.
CONTENT_BYTES = 128 << 10

pytestmark = pytest.mark.timeout(2 * MACHINE_SECONDS)


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    path = tmp_path / "disk.img"
    path.touch()
    os.truncate(path, EIGHT_GB)
    return path


def hardware(iso: Path, files: BootFiles, disk: Path, words: str) -> Hardware:
    append = f"{DATA} {SERIAL_LAST} {words}"
    return Hardware(cdrom=iso, kernel=files.kernel, initrd=files.initrd, append=append, data=disk)


def installer(start: Start, iso: Path, files: BootFiles, disk: Path, words: str) -> Machine:
    return start(hardware(iso, files, disk, words), MACHINE_SECONDS)


@pytest.mark.parametrize("firmware", ["bios", pytest.param("uefi", marks=pytest.mark.long)])
def test_the_only_empty_disk_is_installed_to_and_starts(
    start: Start, stub_iso: Path, stub_files: BootFiles, disk: Path, firmware: Literal["bios", "uefi"]
) -> None:
    words = "kubesolo.install=auto kubesolo.install-end=poweroff"
    machine = installer(start, stub_iso, stub_files, disk, words)
    machine.wait_end(stretched(INSTALL_SECONDS))
    text = machine.serial.text()
    assert "KubeSolo OS is on /dev/vda" in text
    assert " 100 % of " in text
    assert "MB/s" in text
    assert "No problems found" in run([*tools.command("sgdisk"), "-v", disk]).stdout.decode()
    node = start(Hardware(data=disk, firmware=firmware), MACHINE_SECONDS)
    wait_booted(node, BOOT_SECONDS)
    wait_milestones(node, ("boot-confirmed",), 60)
    mounts = {row.split()[1]: row.split()[0] for row in node.host.ask("mounts").splitlines()}
    assert mounts["/run/kubesolo-medium"] == "/dev/vda2"
    assert mounts["/mnt/data"] == "/dev/vda4"


@pytest.mark.long
def test_a_person_chooses_the_disk_on_the_serial_line(start: Start, stub_iso: Path, disk: Path) -> None:
    machine = start(Hardware(cdrom=stub_iso, data=disk), MACHINE_SECONDS)
    machine.serial.wait("boot:", stretched(BOOT_SECONDS))
    machine.serial.send("kubesolo-install\r")
    machine.serial.wait("Type the number of the disk", stretched(BOOT_SECONDS))
    assert "/dev/vda  virtual disk, 8.5 GB: empty" in machine.serial.text()
    machine.serial.send("1\r")
    machine.serial.wait("Type yes to install", stretched(30))
    machine.serial.send("yes\r")
    machine.serial.wait("KubeSolo OS is on /dev/vda", stretched(INSTALL_SECONDS))


@pytest.mark.parametrize(
    ("words", "size", "content", "said"),
    [
        pytest.param("kubesolo.install=/dev/vda", 3 << 30, b"", "0.6 GB less than", marks=pytest.mark.long),
        ("kubesolo.install=/dev/vda", EIGHT_GB, b"mine", "/dev/vda holds data"),
        pytest.param(
            "kubesolo.install=/dev/sr0", EIGHT_GB, b"", "is no disk of this machine", marks=pytest.mark.long
        ),
        pytest.param(
            "kubesolo.install=auto", EIGHT_GB, b"mine", "no fixed disk of this", marks=pytest.mark.long
        ),
    ],
)
def test_what_is_refused_says_why_and_touches_nothing(
    start: Start,
    stub_iso: Path,
    stub_files: BootFiles,
    disk: Path,
    words: str,
    size: int,
    content: bytes,
    said: str,
) -> None:
    os.truncate(disk, size)
    with disk.open("r+b") as stream:
        stream.write(content)
    before = disk.stat().st_mtime_ns
    machine = installer(start, stub_iso, stub_files, disk, words)
    machine.serial.wait(PROMPT, stretched(BOOT_SECONDS))
    assert said in machine.serial.text()
    assert disk.stat().st_mtime_ns == before


@pytest.mark.long
def test_a_machine_that_prefers_the_medium_is_installed_once(
    start: Start, stub_iso: Path, stub_files: BootFiles, disk: Path
) -> None:
    disk.write_bytes(b"what was there before")
    os.truncate(disk, EIGHT_GB)
    words = "kubesolo.install=/dev/vda kubesolo.install-force=yes kubesolo.install-end=poweroff"
    installer(start, stub_iso, stub_files, disk, words).wait_end(stretched(INSTALL_SECONDS))
    before = disk.stat().st_mtime_ns
    machine = installer(start, stub_iso, stub_files, disk, words)
    machine.serial.wait(PROMPT, stretched(BOOT_SECONDS))
    assert "this very system is on /dev/vda already" in machine.serial.text()
    assert disk.stat().st_mtime_ns == before


@pytest.mark.long
@pytest.mark.parametrize(
    ("fault", "place", "said"),
    [
        ("write", LAYOUT[1], "writing slot A on /dev/vda failed"),
        ("read", LAYOUT[2], "comparing slot B with the medium on /dev/vda failed"),
    ],
    ids=["write", "read"],
)
def test_a_disk_that_fails_is_said_and_does_not_start(
    start: Start,
    stub_iso: Path,
    stub_files: BootFiles,
    disk: Path,
    tmp_path: Path,
    fault: str,
    place: Partition,
    said: str,
) -> None:
    slot = range(place.offset, place.offset + place.length)
    with FaultyDisk(disk, tmp_path / "nbd", fault, slot, CONTENT_BYTES) as served:
        words = "kubesolo.install=auto kubesolo.install-end=poweroff"
        computer = hardware(stub_iso, stub_files, disk, words)
        machine = start(replace(computer, data_socket=served.address), MACHINE_SECONDS)
        machine.serial.wait(PROMPT, stretched(INSTALL_SECONDS))
        assert served.met
        assert said in machine.serial.text()
        assert "the installation can be run again" in machine.serial.text()
        machine.close()
    assert not slotdisk.starts(disk, tmp_path)


@pytest.mark.long
def test_a_disk_that_vanishes_is_said(
    start: Start, stub_iso: Path, stub_files: BootFiles, disk: Path
) -> None:
    computer = hardware(stub_iso, stub_files, disk, "kubesolo.install=/dev/sda")
    machine = start(replace(computer, data_bus="usb"), MACHINE_SECONDS)
    machine.serial.wait(" MB/s, ", stretched(INSTALL_SECONDS))
    machine.monitor.execute("device_del", id="disk")
    machine.serial.wait(PROMPT, stretched(INSTALL_SECONDS))
    assert "/dev/sda has vanished while it was written" in machine.serial.text()
