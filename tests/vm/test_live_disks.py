"""Disks that the Live CD finds: foreign ones stay as they are, and without one it runs in memory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tasks.lib.boot import livemenu
from tasks.lib.formats.tree import Tree
from tasks.lib.vm.disks import write_data_disk
from tasks.lib.vm.hardware import Hardware
from tasks.lib.vm.media import boot_files
from tests.vm import live
from tests.vm.conftest import Start
from tests.vm.live import LiveNode
from tests.vm.node import stretched
from tests.vm.shell import Key

SECONDS = 900
SHELL = "kubesolo-emergency#"

pytestmark = pytest.mark.timeout(SECONDS)


def test_a_foreign_disk_is_not_touched_and_it_is_memory_then(
    start: Start, live_iso: Path, tmp_path: Path
) -> None:
    """Up to the root, where systemd would start; live.shell stops there."""
    content = Tree()
    content.add_file("letter", "dear all")
    disk = tmp_path / "foreign.img"
    write_data_disk(disk, 1200, content, label="HOME")
    before = disk.read_bytes()
    files = boot_files(live_iso, tmp_path / "boot", livemenu.INITRAMFS)
    described = Hardware(
        cdrom=live_iso,
        data=disk,
        kernel=files.kernel,
        initrd=files.initrd,
        append=f"{livemenu.CONSOLES} live.shell",
    )
    machine = start(described, SECONDS)
    machine.serial.wait("/dev/vda is not blank: it is left alone", stretched(60))
    machine.serial.wait("RAM ONLY: no file system labelled K8SLIVE and no blank disk", stretched(60))
    machine.serial.wait(SHELL, stretched(60))
    machine.serial.send("grep -c ' /newroot overlay ' /proc/mounts; echo done-$((6 * 7))\n")
    machine.serial.wait("done-42", stretched(30))
    assert "\n1" in machine.serial.text().replace("\r", "").split("echo done")[1]
    machine.close()
    assert disk.read_bytes() == before


@pytest.mark.long
@pytest.mark.parametrize("medium", ["cdrom", "usb"])
def test_uefi_without_a_disk(start: Start, live_iso: Path, tmp_path: Path, medium: str) -> None:
    key = Key.make(tmp_path)
    seed = live.write_seed(tmp_path, key)
    described = replace(live.hardware(live_iso, seed, None), firmware="uefi")
    if medium == "usb":
        described = replace(described, cdrom=None, usb=live_iso)
    node = LiveNode(start(described, SECONDS), key)
    node.wait_session()
    assert "RAM ONLY" in node.machine.serial.text()
    assert node.run("findmnt -no FSTYPE /run/live/disk").strip() == "tmpfs"
    assert node.run("findmnt -no FSTYPE /var/lib/containerd").strip() == "tmpfs"
    assert node.run("systemctl is-active multi-user.target").strip() == "active"


@pytest.mark.long
def test_a_bios_starts_it_from_a_stick(start: Start, live_iso: Path, tmp_path: Path) -> None:
    key = Key.make(tmp_path)
    seed, disk = live.write_seed(tmp_path, key), live.blank_disk(tmp_path / "disk.img")
    described = replace(live.hardware(live_iso, seed, disk), cdrom=None, usb=live_iso)
    node = LiveNode(start(described, SECONDS), key)
    node.wait_session()
    assert "what is written is kept on /dev/vda" in node.machine.serial.text()
