"""Stage 20: finding, checking, growing and mounting the data partition."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.device.conftest import DISK_KIB
from tests.device.fakeroot import FakeRoot, complete

STAGE = "20-persistent-mount"
SUPERBLOCK = 1024


def settings(root: FakeRoot, text: str) -> None:
    root.write("run/kubesolo/settings", text)


def medium(root: FakeRoot, kind: str) -> None:
    root.write("run/kubesolo/medium", f"{kind} sr0\n")


def change(disk: Path, offset: int, value: bytes) -> None:
    """Overwrite bytes of the superblock."""
    with disk.open("r+b") as stream:
        stream.seek(SUPERBLOCK + offset)
        stream.write(value)


def run(root: FakeRoot) -> subprocess.CompletedProcess[str]:
    return root.stage(STAGE)


def uptime(root: FakeRoot) -> float:
    return float(root.read("proc/uptime").split()[0])


def test_clean_disk_is_mounted_without_a_check(root: FakeRoot, data_disk: Path) -> None:
    root.block_device("sr0", data_disk)
    root.block_device("vda", data_disk, DISK_KIB)
    result = run(root)
    assert result.returncode == 0, result.stderr
    assert result.stderr.splitlines()[-1] == complete(STAGE)
    assert "-t ext4 -o rw,nosuid,nodev,noatime /dev/vda /mnt/data" in root.called("mount")
    assert not root.called("e2fsck")
    assert not root.called("resize2fs")
    assert root.read("run/kubesolo/data").startswith("disk ")
    binds = [line.split()[:2] for line in root.read("run/kubesolo/binds").splitlines()]
    pairs = {source.split("/mnt/data/")[1]: point.replace(str(root.path), "") for source, point in binds}
    assert pairs["kubesolo"] == "/var/lib/kubesolo"
    assert pairs["containerd"] == "/var/lib/containerd"
    assert pairs["etc-kubesolo"] == "/etc/kubesolo"
    assert pairs["log"] == "/var/log"
    assert pairs["usr-local"] == "/usr/local"
    assert all((root.path / "mnt/data" / folder).is_dir() for folder in pairs)


@pytest.mark.parametrize(("offset", "value"), [(0x60, b"\xc6"), (0x3A, b"\x00"), (0x3A, b"\x03")])
def test_disk_that_was_not_unmounted_is_checked(
    root: FakeRoot, data_disk: Path, offset: int, value: bytes
) -> None:
    root.block_device("vda", data_disk, DISK_KIB)
    change(root.path / "dev/vda", offset, value)
    root.fake("e2fsck", "return 1")
    result = run(root)
    assert result.returncode == 0, result.stderr
    assert root.called("e2fsck") == ["-p /dev/vda"]


def test_damage_is_repaired_loudly_or_fails_the_stage(root: FakeRoot, data_disk: Path) -> None:
    root.block_device("vda", data_disk, DISK_KIB)
    change(root.path / "dev/vda", 0x3A, b"\x02")
    root.fake("e2fsck", "[ $1 = -y ] || return 4\nreturn 8")
    result = run(root)
    assert result.returncode != 0
    assert root.called("e2fsck")[:3] == ["-p /dev/vda", "-y /dev/vda", "-y /dev/vda"]
    assert "-y -b 98304 -B 4096 /dev/vda" in root.called("e2fsck"), "another copy of the superblock"
    assert "cannot be repaired (e2fsck status 8)" in root.read("run/kubesolo/last-error")
    assert not any("ext4" in mount for mount in root.called("mount"))


def test_superblock_that_was_torn_is_mended_though_it_looks_clean(root: FakeRoot, data_disk: Path) -> None:
    root.block_device("vda", data_disk, DISK_KIB)
    root.fake("mount", 'case $* in *ext4*) [ -e "$ROOT/mended" ] ;; esac')
    root.fake("e2fsck", '[ $1 = -y ] || return 8\n: >"$ROOT/mended"\nreturn 1')
    result = run(root)
    assert result.returncode == 0, result.stderr
    assert root.called("e2fsck") == ["-p /dev/vda", "-y /dev/vda"]
    root.fake("mount", "case $* in *ext4*) return 1 ;; esac")
    assert "cannot mount" in run(root).stderr


def test_file_system_grows_with_its_disk(root: FakeRoot, data_disk: Path) -> None:
    root.block_device("vda", data_disk, DISK_KIB + 4096)
    result = run(root)
    assert result.returncode == 0
    assert root.called("resize2fs") == ["/dev/vda"]
    assert "from 8 to 12 MiB" in result.stderr


def test_missing_partition_on_removable_media_means_memory(root: FakeRoot) -> None:
    medium(root, "removable")
    root.block_device("sr0")
    result = run(root)
    assert result.returncode == 0, result.stderr
    assert "RAM ONLY" in result.stderr
    assert 7.0 <= uptime(root) < 7.5, "2 s without a new device"
    assert any(mount.endswith("data /mnt/data") and "tmpfs" in mount for mount in root.called("mount"))
    assert root.read("run/kubesolo/data") == "memory\n"


def test_late_disk_is_found(root: FakeRoot, data_disk: Path) -> None:
    """A device that appears within 2 s of the last one starts the wait again."""
    medium(root, "removable")
    root.block_device("sr0")
    image = root.path / "late.img"
    image.write_bytes(data_disk.read_bytes())
    root.fake(
        "sleep",
        f"""
        case $up in
        6[5-9]*) mkdir -p "$ROOT/sys/class/block/sda"; echo 2000 >"$ROOT/sys/class/block/sda/size" ;;
        8*) mkdir -p "$ROOT/sys/class/block/sdb"; echo {DISK_KIB * 2} >"$ROOT/sys/class/block/sdb/size"
            cp "$ROOT/late.img" "$ROOT/dev/sdb" ;;
        esac
        """,
    )
    result = run(root)
    assert result.returncode == 0, result.stderr
    assert any("/dev/sdb /mnt/data" in mount for mount in root.called("mount"))
    assert 8.0 <= uptime(root) < 8.5


@pytest.mark.parametrize(
    ("kind", "data"), [("disk", "LABEL=KSOLODATA"), ("removable", "LABEL=OTHER"), ("removable", "/dev/vdz")]
)
def test_missing_partition_that_was_meant_fails_after_30_s(root: FakeRoot, kind: str, data: str) -> None:
    medium(root, kind)
    settings(root, f"KUBESOLO_DATA='{data}'\n")
    root.block_device("vda")
    result = run(root)
    assert result.returncode != 0
    assert 35.0 <= uptime(root) < 36
    assert f"the data partition {data} is not there (block devices: vda)" in result.stderr
    assert not root.called("mount"), "an empty cluster is never started instead"


def test_nopersist_does_not_touch_the_disk(root: FakeRoot, data_disk: Path) -> None:
    settings(root, "KUBESOLO_NOPERSIST='1'\n")
    root.block_device("vda", data_disk, DISK_KIB)
    (root.path / "dev/vda").chmod(0)
    before = (root.path / "dev/vda").stat().st_atime_ns
    result = run(root)
    assert result.returncode == 0
    assert "RAM ONLY: asked for by kubesolo.nopersist" in result.stderr
    assert (root.path / "dev/vda").stat().st_atime_ns == before
    assert not any("ext4" in mount for mount in root.called("mount"))


def test_partition_label_comes_from_the_kernel(root: FakeRoot, data_disk: Path) -> None:
    settings(root, "KUBESOLO_DATA='PARTLABEL=KSOLODATA'\n")
    root.block_device("sda4", data_disk, DISK_KIB)
    root.write("sys/class/block/sda4/uevent", "MAJOR=8\nDEVTYPE=partition\nPARTNAME=KSOLODATA\n")
    assert run(root).returncode == 0
    assert any("/dev/sda4 /mnt/data" in mount for mount in root.called("mount"))


def test_superblock_with_any_bytes_is_read(root: FakeRoot, data_disk: Path) -> None:
    """A UUID that contains the code of "*" once made the shell look for file names."""
    root.block_device("vda", data_disk, DISK_KIB)
    change(root.path / "dev/vda", 0x68, b"**?[a]\\$'\"\xff\x80\n \t\0")
    assert run(root).returncode == 0
    assert any("/dev/vda /mnt/data" in mount for mount in root.called("mount"))


def test_uuid_is_left_to_findfs(root: FakeRoot, data_disk: Path) -> None:
    settings(root, "KUBESOLO_DATA='UUID=01234567-89ab-cdef-0123-456789abcdef'\n")
    root.block_device("sda", data_disk, DISK_KIB)
    root.fake("findfs", 'echo "$ROOT/dev/sda"')
    assert run(root).returncode == 0
    assert any("/dev/sda /mnt/data" in mount for mount in root.called("mount"))


def test_disk_without_the_label_is_left_alone(root: FakeRoot, data_disk: Path) -> None:
    medium(root, "removable")
    root.block_device("vda", data_disk, DISK_KIB)
    change(root.path / "dev/vda", 0x78, b"PHOTOS\0\0\0")
    root.block_device("vdb")
    (root.path / "dev/vdb").write_bytes(bytes(1 << 20))
    result = run(root)
    assert "RAM ONLY" in result.stderr
    assert not any("/dev/vd" in mount for mount in root.called("mount"))


def test_named_device_without_a_file_system_fails(root: FakeRoot) -> None:
    settings(root, "KUBESOLO_DATA='UUID=x'\n")
    root.block_device("vda")
    (root.path / "dev/vda").write_bytes(bytes(1 << 20))
    root.fake("findfs", 'echo "$ROOT/dev/vda"')
    result = run(root)
    assert result.returncode != 0
    assert "no ext4 file system on" in result.stderr


def place(root: FakeRoot, name: str, path: str, *, removable: str = "0") -> None:
    """Put a block device where sysfs has it: the disk's folder under `path`, partitions in it."""
    disk = root.path / "sys/devices" / path
    disk.mkdir(parents=True, exist_ok=True)
    flat = root.path / "sys/class/block" / name
    for file in flat.iterdir():
        file.rename(disk / file.name)
    flat.rmdir()
    flat.symlink_to(disk)
    if not (disk / "partition").exists():
        (disk / "removable").write_text(f"{removable}\n")


@pytest.mark.parametrize("order", [("sda", "sdb"), ("sdb", "sda")])
def test_of_two_with_the_label_the_same_is_taken_and_both_are_named(
    root: FakeRoot, data_disk: Path, order: tuple[str, str]
) -> None:
    """Fixed before portable, whatever the kernel called them."""
    fixed, stick = order
    for name in order:
        root.block_device(name, data_disk, DISK_KIB)
    place(root, fixed, f"pci0000:00/0000:00:1f.2/ata1/block/{fixed}")
    place(root, stick, f"pci0000:00/0000:00:04.0/usb1/1-1/block/{stick}")
    result = run(root)
    assert result.returncode == 0, result.stderr
    assert any(f"/dev/{fixed} /mnt/data" in mount for mount in root.called("mount"))
    assert "2 file systems match LABEL=KSOLODATA: /dev/sda /dev/sdb. Taking " in result.stderr


def test_a_disk_with_partitions_never_wins(root: FakeRoot, data_disk: Path) -> None:
    root.block_device("sda", data_disk, DISK_KIB)
    root.block_device("sda1", data_disk, DISK_KIB)
    root.write("sys/class/block/sda1/partition", "1\n")
    place(root, "sda", "pci0000:00/block/sda")
    place(root, "sda1", "pci0000:00/block/sda/sda1")
    change(root.path / "dev/sda", 0x3A, b"\x02")
    assert run(root).returncode == 0
    assert any("/dev/sda1 /mnt/data" in mount for mount in root.called("mount"))
    assert not root.called("e2fsck")
    settings(root, "KUBESOLO_DATA='UUID=x'\n")
    root.fake("findfs", 'echo "$ROOT/dev/sda"')
    result = run(root)
    assert "/dev/sda is a disk with partitions: name one of them" in result.stderr
    assert not root.called("e2fsck"), "nothing that has partitions is repaired"


@pytest.mark.parametrize("where", ["the disk", "the mount"])
@pytest.mark.parametrize("data", ["LABEL=KSOLODATA", "UUID=x"])
def test_write_protected_disk_is_said_in_words(
    root: FakeRoot, data_disk: Path, where: str, data: str
) -> None:
    medium(root, "removable")
    settings(root, f"KUBESOLO_DATA='{data}'\n")
    root.fake("findfs", 'echo "$ROOT/dev/vda"')
    root.block_device("vda", data_disk, DISK_KIB)
    if where == "the disk":
        root.write("sys/class/block/vda/ro", "1\n")
    else:
        root.write("proc/mounts", f"/dev/vda {root.path}/mnt/data ext4 ro,noatime 0 0\n")
    result = run(root)
    assert "/dev/vda is write-protected" in result.stderr
    assert (result.returncode == 0) == ("RAM ONLY" in result.stderr) == data.startswith("LABEL")
    assert not root.called("resize2fs")


def test_usb_disk_that_is_still_coming_up_is_waited_for(root: FakeRoot, data_disk: Path) -> None:
    """Its driver is bound, its disk not there yet: 10 s here, as with a disk that has to spin up."""
    medium(root, "removable")
    root.write("sys/bus/usb/devices/1-1:1.0/bInterfaceClass", "08\n")
    root.write("sys/bus/usb/devices/1-1:1.0/driver/x", "")
    (root.path / "late.img").write_bytes(data_disk.read_bytes())
    root.fake(
        "sleep",
        f"""
        [ $up -ge 1500 ] && [ ! -e "$ROOT/dev/sdb" ] || return 0
        mkdir -p "$ROOT/sys/class/block/sdb" "$ROOT/sys/bus/usb/devices/1-1:1.0/host2/target2:0:0"
        echo {DISK_KIB * 2} >"$ROOT/sys/class/block/sdb/size"
        cp "$ROOT/late.img" "$ROOT/dev/sdb"
        """,
    )
    result = run(root)
    assert result.returncode == 0, result.stderr
    assert any("/dev/sdb /mnt/data" in mount for mount in root.called("mount"))


def test_partition_whose_first_read_fails_is_read_again(root: FakeRoot, data_disk: Path) -> None:
    medium(root, "removable")
    root.block_device("vda", size_kib=DISK_KIB)
    (root.path / "late.img").write_bytes(data_disk.read_bytes())
    root.fake("sleep", '[ $up -lt 1000 ] || cp "$ROOT/late.img" "$ROOT/dev/vda"')
    result = run(root)
    assert any("/dev/vda /mnt/data" in mount for mount in root.called("mount")), result.stderr


def test_partition_uuid_is_read_from_the_table(root: FakeRoot, data_disk: Path) -> None:
    table = bytearray(4096)
    table[512:520] = b"EFI PART"
    table[1024 + 128 + 16 : 1024 + 128 + 32] = bytes(range(16))
    settings(root, "KUBESOLO_DATA='PARTUUID=03020100-0504-0706-0809-0A0B0C0D0E0F'\n")
    root.block_device("sda")
    (root.path / "dev/sda").write_bytes(table)
    root.block_device("sda2", data_disk, DISK_KIB)
    root.write("sys/class/block/sda2/partition", "2\n")
    place(root, "sda", "pci0000:00/block/sda")
    place(root, "sda2", "pci0000:00/block/sda/sda2")
    result = run(root)
    assert any("/dev/sda2 /mnt/data" in mount for mount in root.called("mount")), result.stderr


def test_data_of_a_slot_lies_on_its_disk(root: FakeRoot, data_disk: Path) -> None:
    root.write("run/kubesolo/medium", "disk sda2\n")
    root.block_device("sda2")
    root.write("sys/class/block/sda2/partition", "2\n")
    root.block_device("sda4", data_disk, DISK_KIB)
    root.write("sys/class/block/sda4/partition", "4\n")
    root.block_device("sdb", data_disk, DISK_KIB)
    for name in ("sda2", "sda4"):
        place(root, name, f"pci0000:00/block/sda/{name}")
    result = run(root)
    assert any("/dev/sda4 /mnt/data" in mount for mount in root.called("mount")), result.stderr


@pytest.mark.parametrize(("what", "stays"), [("cluster", True), ("all", False)])
def test_a_reset_takes_the_snapshots_of_the_old_cluster_with_it(
    root: FakeRoot, what: str, stays: bool
) -> None:
    """Put back later, one would bring the old cluster into the new one."""
    root.write("run/kubesolo/settings", "KUBESOLO_NOPERSIST=1\n")
    root.write("mnt/data/.reset", f"{what}\n")
    root.write("mnt/data/kubesolo/db/state.db", "")
    root.write("mnt/data/update/snapshots/0.1.0/db/state.db", "")
    root.write("mnt/data/update/state.json", "{}")
    assert root.stage("20-persistent-mount").returncode == 0
    assert not (root.path / "mnt/data/kubesolo/db").exists()
    assert not (root.path / "mnt/data/update/snapshots").exists()
    assert (root.path / "mnt/data/update/state.json").exists() is stays
