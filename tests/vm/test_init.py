"""The boot logic, on the ISO with the stub payload: boot menu, emergency shell, nothing kept, power off."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

import pytest

from tasks.lib.boot.menu import DATA, SERIAL_LAST
from tasks.lib.errors import BuildError
from tasks.lib.formats import cpio
from tasks.lib.formats.tree import Tree
from tasks.lib.vm.disks import write_data_disk
from tasks.lib.vm.hardware import Hardware
from tasks.lib.vm.machine import Machine
from tasks.lib.vm.media import BootFiles, append_segment
from tests.vm.conftest import Start
from tests.vm.node import LAST_STAGE, marker_seen, stretched, wait_booted

BOOT_SECONDS = 60
MACHINE_SECONDS = 400
DISK_MIB = 128
PROMPT = "boot:"
SHELL_PROMPT = "kubesolo-emergency#"

pytestmark = pytest.mark.timeout(MACHINE_SECONDS + 30)


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    path = tmp_path / "data.img"
    write_data_disk(path, DISK_MIB)
    return path


def digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def choose(machine: Machine, label: str) -> None:
    """Type a label at the boot loader's prompt."""
    machine.serial.wait(PROMPT, BOOT_SECONDS)
    machine.serial.send(f"{label}\r")


def assert_shell_works(machine: Machine) -> None:
    """Somebody who types on the console gets answers from a shell."""
    place = machine.serial.position()
    machine.serial.send("echo $((6 * 7))-works\r")
    machine.serial.wait("42-works", 20, place)


def test_shell_entry_gives_a_shell_and_exit_goes_on(start: Start, stub_iso: Path, disk: Path) -> None:
    machine = start(Hardware(cdrom=stub_iso, data=disk), MACHINE_SECONDS)
    choose(machine, "kubesolo-shell")
    machine.serial.wait(SHELL_PROMPT, BOOT_SECONDS)
    assert_shell_works(machine)
    assert not marker_seen(machine)
    passed = machine.host.milestones()
    assert "stage-10-parse-cmdline" in passed
    assert "stage-20-persistent-mount" not in passed
    machine.serial.send("exit\r")
    wait_booted(machine, BOOT_SECONDS)


def test_broken_stage_gives_a_shell_that_says_why(
    start: Start, stub_iso: Path, stub_files: BootFiles, disk: Path, tmp_path: Path
) -> None:
    segment, initrd = tmp_path / "broken.cpio", tmp_path / "initramfs"
    tree = Tree()
    stage = "#!/bin/sh\necho 'sysctl is broken on purpose' >&2\nexit 7\n"
    tree.add_file("lib/kubesolo-init/stages/40-sysctl.sh", stage.encode(), 0o755)
    with segment.open("wb") as stream:
        cpio.write(tree, stream, 0)
    append_segment(stub_files.initrd, segment, initrd)
    hardware = Hardware(
        cdrom=stub_iso, data=disk, kernel=stub_files.kernel, initrd=initrd, append=f"{DATA} {SERIAL_LAST}"
    )
    machine = start(hardware, MACHINE_SECONDS)
    machine.serial.wait(SHELL_PROMPT, BOOT_SECONDS)
    assert_shell_works(machine)
    assert not marker_seen(machine)
    passed = machine.host.milestones()
    assert "stage-30-kernel-modules" in passed
    assert "stage-40-sysctl" not in passed
    log = machine.host.ask("log")
    assert "[kubesolo-init] [ERROR]" in log
    assert "40-sysctl" in log
    assert "sysctl is broken on purpose" in machine.serial.text(), "the reason is on the console"


def test_nopersist_leaves_the_disk_untouched(start: Start, stub_iso: Path, disk: Path) -> None:
    before = digest(disk)
    machine = start(Hardware(cdrom=stub_iso, data=disk), MACHINE_SECONDS)
    choose(machine, "kubesolo-nopersist")
    wait_booted(machine, BOOT_SECONDS)
    mounts = {line.split()[1]: line.split()[2] for line in machine.host.ask("mounts").splitlines()}
    assert mounts["/var/lib/kubesolo"] == "tmpfs"
    assert "ext4" not in mounts.values()
    power_off(machine)
    assert digest(disk) == before


def test_first_boot_fills_the_disk_and_power_off_leaves_it_clean(
    start: Start, stub_iso: Path, disk: Path
) -> None:
    machine = start(Hardware(cdrom=stub_iso, data=disk, firmware="uefi"), MACHINE_SECONDS)
    passed = wait_booted(machine, BOOT_SECONDS)
    assert passed[LAST_STAGE] < stretched(30)
    power_off(machine)
    content = disk.read_bytes()[:4096]
    # ext4's superblock (kernel: Documentation/filesystems/ext4/super.rst): state at 0x3A, 1 is clean;
    # feature_incompat at 0x60, 4 is a journal that needs recovery.
    assert int.from_bytes(content[1024 + 0x3A :][:2], "little") & 1
    assert not int.from_bytes(content[1024 + 0x60 :][:4], "little") & 4


def power_off(machine: Machine) -> None:
    machine.host.ask("poweroff")
    machine.wait_end(60)


def test_hung_machine_is_killed_at_its_deadline(start: Start, stub_files: BootFiles) -> None:
    machine = start(Hardware(kernel=stub_files.kernel, append="console=ttyS0", memory=128), 5)
    with pytest.raises(BuildError, match="ended"):
        machine.serial.wait("this never comes", 60)
    assert time.monotonic() - machine.started < 15
    machine.wait_end(5)  # its serial line closes a moment before it is gone
    assert not machine.running()
