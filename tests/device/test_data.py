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
    assert root.called("e2fsck") == ["-p /dev/vda", "-y /dev/vda"]
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
