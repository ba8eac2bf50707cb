"""What a node with slots does at its boot: flush the counter, feed a watchdog, start over when alone."""

from __future__ import annotations

import pytest

from tests.device.fakeroot import FakeRoot, complete

SOURCE = '. "$ROOT/usr/lib/kubesolo-os/functions.sh"\n'


@pytest.fixture
def node(root: FakeRoot) -> FakeRoot:
    """Started from slot A of /dev/vda."""
    for number in (1, 2):
        root.write(f"sys/devices/vda/vda{number}/partition", f"{number}\n")
        (root.path / f"sys/class/block/vda{number}").symlink_to(root.path / f"sys/devices/vda/vda{number}")
    (root.path / "sys/class/block/vda").symlink_to(root.path / "sys/devices/vda")
    root.write("run/kubesolo/medium", "disk vda2\n")
    with (root.path / "fakes.sh").open("a") as fakes:
        fakes.write('watchdog() { echo "watchdog $*" >>"$ROOT/calls"; }\n')
        fakes.write('stat() { cat "$ROOT/access-times"; }\n')
    root.write("access-times", "100\n")
    return root


def removable(root: FakeRoot) -> None:
    root.write("run/kubesolo/medium", "removable sr0\n")


def test_the_counter_is_flushed_on_the_disk_that_was_started(node: FakeRoot) -> None:
    node.shell(f"{SOURCE}flush_counter")
    assert node.called("sync") == ["/dev/vda"]
    removable(node)
    node.shell(f"{SOURCE}flush_counter")
    assert node.called("sync") == ["/dev/vda"]


def watch(root: FakeRoot) -> str:
    result = root.stage("35-watchdog")
    assert result.returncode == 0, result.stderr
    assert result.stderr.splitlines()[-1] == complete("35-watchdog")
    return result.stderr


def test_the_hardware_watchdog_is_fed(node: FakeRoot) -> None:
    node.write("dev/watchdog", "")
    watch(node)
    assert node.called("watchdog") == ["-T 60 -t 10 /dev/watchdog"]
    assert node.called("modprobe") == []


def test_without_one_the_kernel_has_its_own(node: FakeRoot) -> None:
    node.fake("modprobe", ': >"$ROOT/dev/watchdog"')
    watch(node)
    assert node.called("modprobe") == ["-q softdog"]
    assert node.called("watchdog")


def test_a_machine_without_any_says_so(node: FakeRoot) -> None:
    assert "a hung node stays hung" in watch(node)


def test_media_without_slots_have_no_watchdog(node: FakeRoot) -> None:
    node.write("dev/watchdog", "")
    removable(node)
    watch(node)
    assert node.called("watchdog") == []


def alone(root: FakeRoot) -> float:
    """Seconds until the end."""
    root.shell(f"{SOURCE}terminals=/dev/tty1\nreboot_when_alone")
    return float(root.read("proc/uptime").split()[0]) - 5


def test_an_emergency_shell_without_a_person_starts_over(node: FakeRoot) -> None:
    assert alone(node) == 120
    assert node.called("reboot") == ["-f"]


def test_what_the_screen_answers_to_the_shell_is_no_person(node: FakeRoot) -> None:
    node.fake("sleep", 'echo 108 >"$ROOT/access-times"')
    assert alone(node) == 120
    assert node.called("reboot") == ["-f"]


def test_whoever_types_stays(node: FakeRoot) -> None:
    node.fake("sleep", 'read -r last <"$ROOT/access-times"; echo $((last + 8)) >"$ROOT/access-times"')
    alone(node)
    assert node.called("reboot") == []


@pytest.mark.parametrize(("words", "seconds", "reboots"), [("=30", 30, ["-f"]), ("=0", 0, []), ("=x", 0, [])])
def test_the_time_is_a_boot_parameter(node: FakeRoot, words: str, seconds: int, reboots: list[str]) -> None:
    node.write("proc/cmdline", f"quiet kubesolo.shell-seconds{words} panic=10\n")
    assert alone(node) == seconds
    assert node.called("reboot") == reboots


def test_media_without_slots_wait_for_ever(node: FakeRoot) -> None:
    removable(node)
    alone(node)
    assert node.called("reboot") == []


def test_the_reason_is_kept_on_the_first_partition(node: FakeRoot) -> None:
    (node.path / "run/kubesolo/esp/grub").mkdir(parents=True)
    node.write("run/kubesolo/boot.log", "".join(f"line {n}\n" for n in range(99)))
    node.shell(f"{SOURCE}keep_reason init 'no root'")
    about, _, log = node.read("run/kubesolo/esp/grub/failure.txt").partition("\n\n")
    assert about == "slot=vda2\nstage=init\nreason=no root\nuptime=5"
    assert log.splitlines() == [f"line {n}" for n in range(89, 99)]
    assert node.called("umount") == ["/run/kubesolo/esp"]
