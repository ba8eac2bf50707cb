"""What ./doit usb may write to, on a machine that is made of files."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.lib.boot import sticks
from tasks.lib.errors import BuildError

GB = 1_000_000_000


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A system disk, a second one, and a stick with a partition."""
    for name, number, size, removable in (
        ("sda", "8:0", 256, "0"),
        ("sdb", "8:16", 8, "1"),
        ("sdc", "8:32", 512, "0"),
        ("loop0", "7:0", 1, "0"),
    ):
        place = tmp_path / "sys/class/block" / name
        (place / "device").mkdir(parents=True)
        (place / "size").write_text(f"{size * GB // 512}\n")
        (place / "dev").write_text(f"{number}\n")
        (place / "removable").write_text(f"{removable}\n")
        (place / "device/model").write_text(f"Model {name}   \n")
    for parent, name, number in (("sda", "sda1", "8:1"), ("sdb", "sdb1", "8:17")):
        for place in (tmp_path / "sys/class/block" / parent / name, tmp_path / "sys/class/block" / name):
            place.mkdir()
            (place / "partition").write_text("1\n")
            (place / "dev").write_text(f"{number}\n")
    (tmp_path / "proc/self").mkdir(parents=True)
    mounts(tmp_path, "22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw")
    (tmp_path / "proc/swaps").write_text("Filename Type Size Used Priority\n")
    return tmp_path


def mounts(machine: Path, *lines: str) -> None:
    (machine / "proc/self/mountinfo").write_text("\n".join(lines) + "\n")


def test_a_stick_is_taken(machine: Path) -> None:
    disk = sticks.choose("/dev/sdb", 4 * GB, fixed=False, root=machine)
    assert str(disk) == "/dev/sdb  Model sdb, 8.0 GB, removable"


@pytest.mark.parametrize(
    ("device", "said"),
    [
        ("/dev/sda", "in use: mounted at /"),
        ("/dev/sdb1", "is a partition"),
        ("/dev/sdc", "is a fixed disk"),
        ("/dev/loop0", "is no disk"),
        ("/dev/nothing", "is no disk"),
    ],
)
def test_what_is_no_stick_is_refused(machine: Path, device: str, said: str) -> None:
    with pytest.raises(BuildError, match=said):
        sticks.choose(device, GB, fixed=False, root=machine)


def test_a_stick_that_is_mounted_swapped_to_or_too_small_is_refused(machine: Path) -> None:
    with pytest.raises(BuildError, match=r"1000000\d* bytes too small|bytes too small"):
        sticks.choose("/dev/sdb", 9 * GB, fixed=False, root=machine)
    (machine / "proc/swaps").write_text("Filename Type Size Used Priority\n/dev/sdb1 partition 1 0 -2\n")
    with pytest.raises(BuildError, match="in use: swap"):
        sticks.choose("/dev/sdb", GB, fixed=False, root=machine)
    (machine / "proc/swaps").write_text("Filename Type Size Used Priority\n")
    mounts(machine, "30 1 8:17 / /media/stick rw - vfat /dev/sdb1 rw")
    with pytest.raises(BuildError, match="in use: mounted at /media/stick"):
        sticks.choose("/dev/sdb", GB, fixed=True, root=machine)


def test_a_fixed_disk_can_be_meant(machine: Path) -> None:
    assert sticks.choose("sdc", GB, fixed=True, root=machine).name == "sdc"


def test_what_is_written_is_compared_and_reported(tmp_path: Path) -> None:
    image, device = tmp_path / "image", tmp_path / "device"
    image.write_bytes(bytes(range(256)) * 40_000)
    device.write_bytes(b"\xff" * 20_000_000)
    said: list[tuple[int, int]] = []
    sticks.write(image, device, lambda done, total: said.append((done, total)))
    size = image.stat().st_size
    assert device.read_bytes()[:size] == image.read_bytes()
    assert device.stat().st_size == 20_000_000
    assert said[-1] == (2 * size, 2 * size)


def test_a_stick_that_keeps_something_else_says_so(tmp_path: Path) -> None:
    image, device = tmp_path / "image", tmp_path / "device"
    image.write_bytes(b"x" * 10_000_000)
    device.write_bytes(b"")

    def lose(done: int, total: int) -> None:
        """Once all is written, one byte is another."""
        if done == total // 2:
            with device.open("r+b") as stream:
                stream.seek(9_999_999)
                stream.write(b"y")

    with pytest.raises(BuildError, match="reads back differently"):
        sticks.write(image, device, lose)


def test_a_disk_that_is_full_or_gone_says_so(tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.write_bytes(b"x" * 1000)
    with pytest.raises(BuildError, match="can not be written"):
        sticks.write(image, tmp_path / "gone", lambda done, total: None)
    with pytest.raises(BuildError, match="No space left"):
        sticks.write(image, Path("/dev/full"), lambda done, total: None)
