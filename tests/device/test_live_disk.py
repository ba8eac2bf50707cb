"""The Live CD's disk: what is blank, what is formatted, what is never touched."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tasks.lib.debian import tools
from tasks.lib.paths import TOP
from tasks.lib.process import run
from tests.device.fakeroot import FakeRoot

MIB = 1 << 20
SIZE = 2048 * MIB
LIBRARIES = "early log cmdline devices partitions images slots emergency"
PRELUDE = f"""set -u
LIB=$ROOT/lib/kubesolo-init/lib LIVE=$ROOT/lib/live-init TITLE='[live-init]' CONSOLES=$ROOT/console
MEDIUM_DEVICE=sr0 LIVE_DISK='' LIVE_ROOT='' LOWEST=$ROOT/lower lower=$ROOT/c:$ROOT/b:$ROOT/a
for name in {LIBRARIES}; do . "$LIB/$name.sh"; done
for name in tools blank disk root; do . "$LIVE/$name.sh"; done
"""
# What mke2fs would have made: enough for read_superblock.
FORMAT = """
case "$*" in
*mke2fs*) for device; do :; done; cat "$ROOT/formatted" >"$device" ;;
esac
"""


class Live:
    """A fake root with the Live CD's init."""

    def __init__(self, root: FakeRoot) -> None:
        self.root = root
        shutil.copytree(TOP / "init", root.path / "lib/kubesolo-init")
        shutil.copytree(TOP / "live/init", root.path / "lib/live-init")
        root.write("console", "")
        root.write("etc/kubesolo-os/root.images", "abc 5 live-base.squashfs\n")

    def run(self, text: str, **environment: str) -> tuple[int, str]:
        done = self.root.shell(PRELUDE + text, **environment)
        return done.returncode, done.stdout + done.stderr

    def disk(self, name: str, size: int = SIZE, marks: dict[int, bytes] | None = None) -> Path:
        """A sparse disk with bytes at some places."""
        path = self.root.path / "dev" / name
        with path.open("wb") as stream:
            stream.truncate(size)
            for place, data in (marks or {}).items():
                stream.seek(place)
                stream.write(data)
        self.root.write(f"sys/class/block/{name}/size", f"{size // 512}\n")
        (self.root.path / f"sys/class/block/{name}/holders").mkdir()
        return path

    @property
    def console(self) -> str:
        return self.root.read("console").replace(str(self.root.path), "")


@pytest.fixture
def live(root: FakeRoot) -> Live:
    return Live(root)


@pytest.fixture(scope="session")
def kept_disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file system labelled K8SLIVE."""
    path = tmp_path_factory.mktemp("kept") / "disk.img"
    run([*tools.command("mke2fs"), "-q", "-F", "-t", "ext4", "-L", "K8SLIVE", path, "64M"])
    return path


def fits(path: Path, size: int = SIZE) -> Path:
    os.truncate(path, size)
    return path


def is_blank(live: Live, name: str = "vda") -> bool:
    status, output = live.run(f"is_blank {name}")
    assert "syntax" not in output
    return status == 0


@pytest.mark.parametrize("size", [SIZE, SIZE + 512, SIZE + 4096 - 512])
def test_a_disk_of_zeros_is_blank(live: Live, size: int) -> None:
    live.disk("vda", size)
    assert is_blank(live)


PLACES = {
    "first byte": 0,
    "boot signature": 510,
    "volume manager": 512,
    "superblock": 1024,
    "RAID 1.2": 4096,
    "btrfs": 64 << 10,
    "end of the head": 4 * MIB - 1,
    "copy at 8 MiB": 8 * MIB,
    "btrfs' copy": 64 * MIB + 65535,
    "ext4's copy": 128 * MIB + 56,
    "copy at 1 GiB": 1024 * MIB,
    "begin of the tail": SIZE - 4 * MIB,
    "RAID 1.0": SIZE - 8192,
    "last byte": SIZE - 1,
}


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_a_single_byte_where_marks_lie_makes_it_not_blank(live: Live, place: int) -> None:
    live.disk("vda", marks={place: b"\x01"})
    assert not is_blank(live)


def test_the_last_sector_counts_when_the_disk_ends_between_blocks(live: Live) -> None:
    live.disk("vda", SIZE + 512, marks={SIZE + 511: b"\x01"})
    assert not is_blank(live)


def test_what_can_not_be_read_is_not_blank(live: Live) -> None:
    fits(live.disk("vda"), SIZE // 2)
    assert not is_blank(live)
    (live.root.path / "dev/vda").unlink()
    assert not is_blank(live)


def formatted(*words: str) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        run([*tools.command(words[0]), *words[1:], path])

    return make


FOREIGN = {
    "ext4": formatted("mke2fs", "-q", "-F", "-t", "ext4"),
    "FAT": formatted("mkfs.fat", "-F", "32"),
    "partition table": formatted("sgdisk", "-n", "1:0:0"),
    "LUKS": lambda path: path.open("r+b").write(b"LUKS\xba\xbe") and None,
}


@pytest.mark.parametrize("make", FOREIGN.values(), ids=FOREIGN)
def test_foreign_disks_are_left_alone_and_the_next_blank_one_is_taken(
    live: Live, make: Callable[[Path], None], kept_disk: Path
) -> None:
    foreign, _ = live.disk("vda"), live.disk("vdb")
    make(foreign)
    before = foreign.stat().st_mtime_ns
    shutil.copy(kept_disk, live.root.path / "formatted")
    live.root.fake("chroot", FORMAT)
    status, output = live.run("prepare_disk")
    assert status == 0, output
    assert live.root.called("chroot")[0] == "/lower mke2fs -q -t ext4 -L K8SLIVE /dev/vdb"
    assert "mount" not in "".join(call for call in live.root.calls if "vda" in call)
    assert foreign.stat().st_mtime_ns == before, "not written to"
    assert "/dev/vda is not blank: it is left alone" in live.console
    assert "/dev/vdb is blank: formatting it" in live.console
    assert "what is written is kept on /dev/vdb" in live.console


def test_with_foreign_disks_alone_it_is_memory_and_says_so(live: Live) -> None:
    disk = live.disk("vda", marks={0: b"MBR"})
    before = disk.stat().st_mtime_ns
    status, output = live.run("prepare_disk")
    assert status == 0, output
    assert live.root.called("mount") == ["-t tmpfs -o mode=0755,size=80% live /run/live/disk"]
    assert not live.root.called("chroot")
    assert "RAM ONLY" in live.console
    assert disk.stat().st_mtime_ns == before, "not written to"


def test_the_labelled_file_system_is_taken_and_not_formatted(live: Live, kept_disk: Path) -> None:
    live.disk("vda")
    shutil.copy(kept_disk, live.disk("vdb", 64 * MIB))
    status, output = live.run("prepare_disk")
    assert status == 0, output
    assert live.root.called("mount") == ["-t ext4 -o rw,noatime /dev/vdb /run/live/disk"]
    assert not live.root.called("chroot"), "clean: not even checked"
    assert live.root.read("run/live/disk/medium") == "abc\n"


@pytest.mark.parametrize(
    ("statuses", "checks", "taken"),
    [("1", ["-p"], True), ("4 1", ["-p", "-y"], True), ("4 8", ["-p", "-y"], False)],
)
def test_a_damaged_file_system_is_repaired_or_nothing_starts(
    live: Live, kept_disk: Path, statuses: str, checks: list[str], taken: bool
) -> None:
    path = live.disk("vda", 64 * MIB)
    shutil.copy(kept_disk, path)
    with path.open("r+b") as stream:  # s_state: not unmounted cleanly
        stream.seek(1024 + 58)
        stream.write(b"\0\0")
    live.root.write("statuses", statuses)
    live.root.fake(
        "chroot", 'read -r now rest <"$ROOT/statuses"; echo "$rest" >"$ROOT/statuses"; return "$now"'
    )
    status, output = live.run("prepare_disk")
    assert [call.split()[2] for call in live.root.called("chroot")] == checks
    assert (status == 0) is taken, output
    assert bool(live.root.called("mount")[-1].startswith("-t ext4")) is taken
    assert ("cannot be repaired" in live.console) is not taken


def test_another_medium_is_said(live: Live, kept_disk: Path) -> None:
    shutil.copy(kept_disk, live.disk("vda", 64 * MIB))
    live.root.write("run/live/disk/medium", "older\n")
    live.run("prepare_disk")
    assert "written with another Live CD" in live.console
    assert live.root.read("run/live/disk/medium") == "abc\n"


@pytest.mark.parametrize(
    ("where", "text"),
    [
        ("ro", "1\n"),
        ("size", "1024\n"),
        ("partition", "1\n"),
        ("holders/dm-0", ""),
        ("vda1/partition", "1\n"),
    ],
)
def test_disks_that_can_not_be_meant_are_not_even_read(live: Live, where: str, text: str) -> None:
    live.disk("vda")
    live.root.write(f"sys/class/block/vda/{where}", text)
    status, _ = live.run("find_blank")
    assert status != 0
    assert "not blank" not in live.console


def test_the_medium_is_never_taken(live: Live) -> None:
    live.disk("sda")
    assert live.run("MEDIUM_DEVICE=sda; find_blank")[0] != 0
    assert live.run("MEDIUM_DEVICE=sdb; find_blank")[0] == 0


def test_a_fixed_disk_comes_before_a_stick(live: Live) -> None:
    live.disk("sda")
    live.root.write("sys/class/block/sda/removable", "1\n")
    live.disk("sdb")
    _, output = live.run('find_blank; echo "took $FOUND"')
    assert "dev/sdb" in output.split("took ")[1]


def test_memory_on_request(live: Live) -> None:
    live.disk("vda")
    assert live.run("LIVE_DISK=none; prepare_disk")[0] == 0
    assert not live.root.called("chroot")
    assert "RAM ONLY: asked for by live.disk=none" in live.console


def test_a_disk_that_is_named_is_taken_or_nothing_is(live: Live, kept_disk: Path) -> None:
    live.disk("vda", marks={512: b"something"})
    live.disk("vdb")
    status, _ = live.run("LIVE_DISK=/dev/vda FOUND=$ROOT$LIVE_DISK; take_device")
    assert status != 0
    assert "it is left alone" in live.console
    assert not live.root.called("mount")
    assert not live.root.called("chroot")
    status, _ = live.run("LIVE_DISK=/dev/vdz; prepare_disk")
    assert status != 0
    assert "live.disk=/dev/vdz is not there" in live.console
    shutil.copy(kept_disk, live.root.path / "formatted")
    live.root.fake("chroot", FORMAT)
    assert live.run("LIVE_DISK=/dev/vdb FOUND=$ROOT$LIVE_DISK; take_device")[0] == 0
    assert live.root.called("chroot")[0] == "/lower mke2fs -q -t ext4 -L K8SLIVE /dev/vdb"


def test_the_root_is_an_overlay_and_what_must_not_lie_on_one_is_bound(live: Live) -> None:
    status, output = live.run("stack_root")
    assert status == 0, output
    disk = "/run/live/disk"
    assert live.root.called("mount") == [
        f"-t overlay -o lowerdir=/c:/b:/a,upperdir={disk}/upper,workdir={disk}/work overlayroot /newroot",
        *(
            f"--bind {disk}/state/{name} /newroot/var/lib/{name}"
            for name in ("containerd", "kubelet", "etcd")
        ),
    ]


def test_nothing_is_left_that_systemd_could_not_unmount(live: Live) -> None:
    for layer in ("live-base", "live-config"):
        (live.root.path / "run/kubesolo-root" / layer).mkdir(parents=True)
    assert live.run("forget_mounts")[0] == 0
    assert live.root.called("umount") == [
        "/run/kubesolo-root/live-base",
        "/run/kubesolo-root/live-config",
        "-l /run/kubesolo-medium",
    ]


def test_a_root_that_can_not_be_mounted_is_an_error(live: Live) -> None:
    live.root.fake("mount", "return 1")
    assert live.run("stack_root")[0] != 0
    assert "cannot mount the root" in live.console


@pytest.mark.parametrize(
    ("word", "end"), [("reboot", "reboot"), ("kexec", "reboot"), ("poweroff", "poweroff"), ("halt", "halt")]
)
def test_at_the_end_what_lies_above_is_unmounted_first(live: Live, word: str, end: str) -> None:
    points = ["/", "/proc", "/run", "/run/live/disk", "/oldroot", "/oldroot/var/lib/etcd", "/oldroot/run"]
    live.root.write("proc/mounts", "".join(f"x {point} x rw 0 0\n" for point in points))
    live.root.write("dev/console", "")
    gone = live.root.path / "gone"
    live.root.program("bin/busybox", f'echo "$*" >>{gone}\n[ "$2" != /oldroot/run ]\n')
    done = live.root.shell('set -- "$1"; . "$ROOT/lib/live-init/shutdown"', word)
    calls = gone.read_text().splitlines()
    assert calls[:4] == [f"umount {point}" for point in reversed(points[3:])], done.stderr
    assert calls[-2:] == ["sync", f"{end} -f"]
    assert live.root.read("dev/console") == "[live-init] /oldroot/run could not be unmounted\n"


def test_a_disk_with_the_whole_root(live: Live, tmp_path: Path) -> None:
    image = tmp_path / "root.img"
    run([*tools.command("mke2fs"), "-q", "-F", "-t", "ext4", "-L", "K8SROOT", image, "64M"])
    shutil.copy(image, live.disk("vda", 64 * MIB))
    status, output = live.run("mount_whole_root LABEL=K8SROOT")
    assert status == 0, output
    assert live.root.called("mount") == ["-t ext4 -o ro /dev/vda /newroot", "-o remount,rw,noatime /newroot"]
    assert live.run("mount_whole_root LABEL=OTHER")[0] != 0
    assert "live.root=LABEL=OTHER is not there" in live.console
