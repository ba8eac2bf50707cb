"""Stage 15: the data partition of a slot's disk gets the rest of the disk."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import uuid
from pathlib import Path

import pytest

from tasks.lib.debian import tools
from tasks.lib.formats import gpt
from tasks.lib.formats.gpt import Partition
from tasks.lib.process import run
from tests.device.fakeroot import FakeRoot, complete

STAGE = "15-grow-disk"
MIB = 2048
SMALL, LARGE = 64, 256
ROWS = (
    Partition(1, "KSOLOEFI", 2 * MIB, 4 * MIB, "esp"),
    Partition(2, "KSOLOA", 6 * MIB, 4 * MIB),
    Partition(3, "KSOLOB", 10 * MIB, 4 * MIB),
    Partition(4, "KSOLODATA", 14 * MIB, (SMALL - 15) * MIB),
    Partition(5, "KSOLOBIOS", MIB, MIB, "bios_grub"),
)
GUIDS = {number: uuid.UUID(int=number + 1) for number in range(6)}


@pytest.fixture
def disk(root: FakeRoot, tmp_path: Path) -> Path:
    """A small image on a larger disk, booted from its slot A."""
    image = tmp_path / "small.img"
    gpt.write(image, SMALL << 20, ROWS, GUIDS)
    path = Path(shutil.copy(image, root.path / "dev/vda"))
    os.truncate(path, LARGE << 20)
    root.write("run/kubesolo/medium", "disk vda2\n")
    devices(root, (SMALL - 15) * MIB)
    command = " ".join(f"'{word}'" for word in tools.command("sfdisk"))
    root.fake("sfdisk", f'{command} "$@"')
    with (root.path / "fakes.sh").open("a") as fakes:
        for name in ("sfdisk", "partx"):
            fakes.write(f'{name}() {{ echo "{name} $*" >>"$ROOT/calls"; [ ! -e "$ROOT/fakes/{name}" ] || ')
            fakes.write(f'fake_{name} "$@"; }}\n')
    return path


def devices(root: FakeRoot, data_size: int) -> None:
    """What the kernel says about the disk."""
    block = root.path / "sys/class/block"
    tree = root.path / "sys/devices/vda"
    root.write("sys/devices/vda/size", f"{LARGE * MIB}\n")
    for row in ROWS:
        size = data_size if row.number == 4 else row.size
        for name, value in (("partition", row.number), ("start", row.start), ("size", size)):
            root.write(f"sys/devices/vda/vda{row.number}/{name}", f"{value}\n")
        link = block / f"vda{row.number}"
        if not link.is_symlink():
            link.symlink_to(tree / f"vda{row.number}")
    if not (block / "vda").is_symlink():
        (block / "vda").symlink_to(tree)


def last_of_data(disk: Path) -> int:
    text = run([*tools.command("sgdisk"), "-i", "4", disk]).stdout.decode()
    found = re.search(r"Last sector: (\d+)", text)
    assert found
    return int(found[1])


def grow(root: FakeRoot) -> subprocess.CompletedProcess[str]:
    result = root.stage(STAGE)
    assert result.returncode == 0, result.stderr
    assert result.stderr.splitlines()[-1] == complete(STAGE)
    return result


def test_the_data_partition_reaches_the_end_of_the_disk(root: FakeRoot, disk: Path) -> None:
    grow(root)
    assert last_of_data(disk) == LARGE * MIB - 34
    assert "No problems found" in run([*tools.command("sgdisk"), "-v", disk]).stdout.decode()
    assert root.called("partx") == ["-u --nr 4 /dev/vda"]
    text = run([*tools.command("sgdisk"), "-i", "4", disk]).stdout.decode()
    assert str(GUIDS[4]).upper() in text, "the partition is the same"


def test_a_grown_disk_is_not_written_again(root: FakeRoot, disk: Path) -> None:
    grow(root)
    devices(root, LARGE * MIB - 33 - 14 * MIB)
    before = disk.stat().st_mtime_ns
    root.write("calls", "")
    grow(root)
    assert disk.stat().st_mtime_ns == before
    assert root.calls == []


def test_every_cut_leaves_a_table_from_which_the_next_boot_goes_on(
    root: FakeRoot, disk: Path, tmp_path: Path
) -> None:
    """The copy at the end is flushed first; of the first table, any of its sectors may be old or new."""
    old = disk.read_bytes()[: 34 * 512]
    grow(root)
    new = disk.read_bytes()
    changed = [n for n in range(34) if old[n * 512 :][:512] != new[n * 512 :][:512]]
    assert 1 < len(changed) < 6, "few enough to try all"
    for mask in range(1 << len(changed)):
        torn = bytearray(new)
        for bit, sector in enumerate(changed):
            if not mask >> bit & 1:
                torn[sector * 512 : (sector + 1) * 512] = old[sector * 512 : (sector + 1) * 512]
        disk.write_bytes(torn)
        complaint = run([*tools.command("sgdisk"), "-p", disk]).stdout.decode()
        assert complaint.count("KSOLO") == 5, f"{mask}: the partitions are there\n{complaint}"
        # UEFI and kernel read the first table when its sums are right, else the copy.
        whole_old = mask == 0 or all(old[n * 512 :][:512] == torn[n * 512 :][:512] for n in (1, 2))
        devices(root, (SMALL - 15) * MIB if whole_old else LARGE * MIB - 33 - 14 * MIB)
        grow(root)
        assert last_of_data(disk) == LARGE * MIB - 34
        assert "No problems found" in run([*tools.command("sgdisk"), "-v", disk]).stdout.decode()


def test_other_media_are_left_alone(root: FakeRoot, disk: Path) -> None:
    root.write("run/kubesolo/medium", "removable vda2\n")
    before = disk.read_bytes()
    grow(root)
    assert disk.read_bytes() == before


def test_a_table_that_can_not_be_written_does_not_stop_the_boot(root: FakeRoot, disk: Path) -> None:
    root.fake("sfdisk", "return 1")
    before = disk.read_bytes()
    assert "could not be grown" in grow(root).stderr
    assert disk.read_bytes() == before
