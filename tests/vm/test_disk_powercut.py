"""The power is cut while the disk of a node with slots grows in its first boot, and while it is installed to.

As in test_powercut: one run, and from its write log as many states as are asked for.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from agent import grubenv
from tasks.lib.boot.menu import DATA, SERIAL_LAST
from tasks.lib.vm.disks import copy_disk
from tasks.lib.vm.hardware import Hardware
from tasks.lib.vm.media import BootFiles
from tests.powercut import slotdisk, states
from tests.powercut.slotdisk import DATA_OFFSET
from tests.powercut.writelog import Replay
from tests.vm.conftest import Start
from tests.vm.node import stretched, wait_booted, wait_milestones
from tests.vm.test_powercut import chance, counts, moments

EIGHT_GB = 8 << 30
BOOT_SECONDS = 90
INSTALL_SECONDS = 240
MACHINE_SECONDS = 900
SETTINGS = {"/etc-kubesolo/hostname": 10, "/etc-kubesolo/machine-id": 33}
SLOT_FILES = [
    "vmlinuz",
    "kubesolo-os.gz",
    *(f"{n}.squashfs" for n in ("root", "drivers", "payload", "overlay")),
]

pytestmark = pytest.mark.timeout(MACHINE_SECONDS + 900)


@dataclass
class Run:
    """A disk before a run, after it, and its write log."""

    base: Path
    disk: Path
    log: Path


@pytest.fixture(scope="module")
def first_boot(start_shared: Start, stub_disk: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The image on a larger disk: it grows, makes its tree, is confirmed, and is switched off."""
    folder = tmp_path_factory.mktemp("first-boot")
    run = Run(copy_disk(stub_disk, folder / "base.img"), folder / "disk.img", folder / "writes.log")
    os.truncate(run.base, EIGHT_GB)
    copy_disk(run.base, run.disk)
    machine = start_shared(Hardware(data=run.disk, data_log=run.log), MACHINE_SECONDS)
    wait_booted(machine, BOOT_SECONDS)
    wait_milestones(machine, ("boot-confirmed",), 60)
    machine.host.ask("poweroff")
    machine.wait_end(stretched(90))
    return run


@pytest.mark.long
@counts
def test_a_first_boot_that_is_cut_short_goes_on_by_itself(first_boot: Run, tmp_path: Path, cuts: int) -> None:
    replay = Replay(first_boot.base, first_boot.log, tmp_path / "durable")
    state = tmp_path / "state"
    before = slotdisk.table(first_boot.base)
    assert before
    for number in moments(replay, cuts, 0, first_boot.log.stat().st_size):
        replay.cut(number, state, chance(number))
        now = slotdisk.table(state)
        assert now, f"no partition table after request {number}"
        assert {n: place.name for n, place in now.items()} == slotdisk.NAMES
        assert all(now[n] == before[n] for n in (1, 2, 3, 5)), f"after request {number}"
        assert now[4].first == before[4].first
        assert now[4].last in (before[4].last, EIGHT_GB // 512 - 34)
        block = slotdisk.esp_file(state, "grub/grubenv", tmp_path)
        assert block, f"the boot environment is gone after request {number}"
        variables = grubenv.parse(block)
        assert (variables["active_slot"], variables["boot_success"]) == ("A", "1")
        assert variables["boot_counter"] in ("3", "2")
        data = slotdisk.extract(state, DATA_OFFSET, tmp_path / "data")
        assert states.check(data) < 4, f"the file system for data after request {number}"
        for name, least in SETTINGS.items():
            content = states.read(data, name, tmp_path)
            assert content is None or len(content) >= least, f"{name} after request {number}"
    final = slotdisk.table(first_boot.disk)
    assert final
    assert final[4].last == EIGHT_GB // 512 - 34


@pytest.mark.long
def test_torn_tables_really_boot(start: Start, first_boot: Run, tmp_path: Path) -> None:
    """The requests that write the table's first sectors, cut and torn, each booted with UEFI."""
    replay = Replay(first_boot.base, first_boot.log, tmp_path / "durable")
    table = [
        n for n, request in enumerate(replay.requests, 1) if request.length and request.offset < 34 * 512
    ]
    for number in table[:3]:
        state = tmp_path / f"state-{number}"
        replay.cut(number, state, chance(number * 2 + 1))
        machine = start(Hardware(data=state, firmware="uefi"), MACHINE_SECONDS)
        wait_booted(machine, BOOT_SECONDS)
        wait_milestones(machine, ("boot-confirmed",), 60)
        machine.host.ask("poweroff")
        machine.wait_end(stretched(90))
        now = slotdisk.table(state)
        assert now
        assert now[4].last == EIGHT_GB // 512 - 34


@pytest.fixture(scope="module")
def installation(
    start_shared: Start, stub_iso: Path, stub_files: BootFiles, tmp_path_factory: pytest.TempPathFactory
) -> Run:
    """From the ISO to an empty disk."""
    folder = tmp_path_factory.mktemp("installation")
    run = Run(folder / "base.img", folder / "disk.img", folder / "writes.log")
    for path in (run.base, run.disk):
        path.touch()
        os.truncate(path, EIGHT_GB)
    append = f"{DATA} {SERIAL_LAST} kubesolo.install=auto kubesolo.install-end=poweroff"
    hardware = Hardware(
        cdrom=stub_iso,
        kernel=stub_files.kernel,
        initrd=stub_files.initrd,
        append=append,
        data=run.disk,
        data_log=run.log,
    )
    machine = start_shared(hardware, MACHINE_SECONDS)
    machine.wait_end(stretched(INSTALL_SECONDS))
    time.sleep(1)
    return run


@counts
def test_a_disk_starts_only_when_all_of_it_is_written(installation: Run, tmp_path: Path, cuts: int) -> None:
    whole = {n: slotdisk.slot_digests(installation.disk, n, SLOT_FILES, tmp_path) for n in (2, 3)}
    assert set(whole[2]) == set(SLOT_FILES)
    assert whole[2] == whole[3]
    replay = Replay(installation.base, installation.log, tmp_path / "durable")
    state = tmp_path / "state"
    size = installation.log.stat().st_size
    # Most requests write the slots; what comes after them is looked at one by one.
    late = [n for n, request in enumerate(replay.requests, 1) if request.length][-cuts:]
    started = 0
    for number in sorted({*moments(replay, cuts, 0, size), *late, len(replay.requests)}):
        replay.cut(number, state, chance(number) if number < len(replay.requests) else None)
        if not slotdisk.starts(state, tmp_path):
            continue
        started += 1
        table = slotdisk.table(state)
        assert table, f"starts without a table after request {number}"
        assert {n: place.name for n, place in table.items()} == slotdisk.NAMES
        for n in (2, 3):
            assert slotdisk.slot_digests(state, n, SLOT_FILES, tmp_path) == whole[n], f"request {number}"
        assert slotdisk.esp_file(state, "grub/grub.cfg", tmp_path)
        assert grubenv.parse(slotdisk.esp_file(state, "grub/grubenv", tmp_path) or b"")["active_slot"] == "A"
        assert states.check(slotdisk.extract(state, DATA_OFFSET, tmp_path / "data")) < 4
    assert started, "the last state starts"
