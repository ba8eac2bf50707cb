"""The clock: its floor at boot, what a time server may do to it, and what the data partition remembers."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.device.fakeroot import DEADLINE, FakeRoot, complete
from tests.device.test_lease import lease
from tests.device.test_scripts import background

BUILD = 1795000000
YEAR = 365 * 86400
NOW = int(time.time())
DATE = 'date() { printf \'%s\\n\' "date $*" >>"$ROOT/calls"; }\n'
# Answers the question with the text of a file; the daemon says lines, then stays until it is ended.
CHRONYD = """
root=${0%/usr/sbin/chronyd}
printf 'chronyd %s\\n' "$*" >>"$root/calls"
case " $* " in
*' -Q '*) cat "$root/answer" ;;
*)
    cat "$root/says"
    mkfifo "$root/ended-$$" && read -r _ <"$root/ended-$$"
    ;;
esac
"""


@pytest.fixture
def root(root: FakeRoot) -> FakeRoot:
    root.write("usr/lib/os-release", f'ID=kubesolo-os\nBUILD_EPOCH="{BUILD}"\n')
    root.write("fakes.sh", root.read("fakes.sh") + DATE)
    root.write("says", "")
    (root.path / "mnt/data/time").mkdir()
    return root


def boot(root: FakeRoot) -> str:
    """Run the stage; returns its log."""
    root.program("usr/lib/kubesolo-os/sync-clock", "")
    result = root.stage("70-clock")
    assert result.returncode == 0, result.stderr
    assert complete("70-clock") in result.stderr.splitlines()
    return result.stderr


def wait(condition: Callable[[], bool], why: Callable[[], object]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, why()
        time.sleep(0.05)


def sync(root: FakeRoot, answer: str, until: Callable[[], bool], servers: str = "a.example") -> None:
    """Run sync-clock with a server that answers so until something has come true."""
    root.program("usr/sbin/chronyd", CHRONYD)
    root.write("answer", f"{answer}\n")
    if servers:
        root.write("run/kubesolo/cloud-init/ntp", f"{servers}\n")
    with background(root, "sync-clock"):
        wait(until, lambda: root.calls)


def questions(root: FakeRoot) -> list[str]:
    return [call for call in root.called("chronyd") if " -Q " in call]


def daemons(root: FakeRoot) -> list[str]:
    return [call for call in root.called("chronyd") if " -Q " not in call]


def wrong(seconds: float) -> str:
    """What chronyd -Q prints."""
    return f"2026-11-26T01:36:25Z System clock wrong by {seconds:.6f} seconds (ignored)"


def test_clock_is_never_before_the_build(root: FakeRoot) -> None:
    root.write("usr/lib/os-release", f'BUILD_EPOCH="{NOW + YEAR}"\n')
    assert "before the build" in boot(root)
    assert root.called("date") == [f"-s @{NOW + YEAR}"]


def test_clock_is_never_before_what_the_node_has_seen(root: FakeRoot) -> None:
    root.write("mnt/data/time/seen", f"{NOW + YEAR}\n")
    assert "this node has seen last" in boot(root)
    assert root.called("date") == [f"-s @{NOW + YEAR}"]


@pytest.mark.parametrize("seen", ["", "torn\n", "17", "99999999999999999999\n"])
def test_damaged_memory_is_none(root: FakeRoot, seen: str) -> None:
    root.write("mnt/data/time/seen", seen)
    boot(root)
    assert not root.called("date")


def test_plainly_wrong_clock_waits_for_servers_some_seconds(root: FakeRoot) -> None:
    root.network_card("eth0")
    root.write("mnt/data/time/seen", f"{NOW + YEAR}\n")
    assert "no time server has answered" in boot(root)
    assert 11 <= float(root.read("proc/uptime").split()[0]) < 12, "six seconds after 5.00"


def test_plausible_clock_waits_for_nobody(root: FakeRoot) -> None:
    root.network_card("eth0")
    assert "time server" not in boot(root)
    assert root.read("proc/uptime").startswith("5.00")


def test_clock_that_is_far_ahead_waits_too(root: FakeRoot) -> None:
    root.write("usr/lib/os-release", f"BUILD_EPOCH={NOW - 11 * YEAR}\n")
    root.network_card("eth0")
    log = boot(root)
    assert "ten years" in log
    assert "no time server has answered" in log


def test_answer_ends_the_waiting(root: FakeRoot) -> None:
    root.network_card("eth0")
    root.write("mnt/data/time/seen", f"{NOW + YEAR}\n")
    root.write("run/kubesolo/clock-set", "")
    assert "no time server" not in boot(root)


def test_hardware_clock_is_read_unless_the_kernel_did(root: FakeRoot) -> None:
    root.write("sys/class/rtc/rtc0/hctosys", "0\n")
    boot(root)
    assert root.called("hwclock") == ["-s -u"]
    root.write("calls", "")
    root.write("sys/class/rtc/rtc0/hctosys", "1\n")
    boot(root)
    assert not root.called("hwclock")


@pytest.mark.parametrize(("offset", "word"), [(-3000000.5, "ahead"), (40000.2, "behind")])
def test_first_answer_sets_the_clock_both_ways(root: FakeRoot, offset: float, word: str) -> None:
    root.write("dev/tty9", "")
    root.write("sys/class/tty/console/active", "tty9\n")
    root.write("usr/lib/os-release", f"BUILD_EPOCH={NOW - YEAR}\n")
    sync(root, wrong(offset), lambda: bool(daemons(root)))
    (step,) = root.called("date")
    assert abs(int(step.removeprefix("-s @")) - (time.time() + offset)) < DEADLINE
    assert f"the clock was {abs(int(offset))} s {word}: set by NTP" in root.read("dev/tty9")
    assert root.called("hwclock") == ["-w -u"]
    assert "clock-set" in root.read("run/kubesolo/milestones")
    assert abs(int(root.read("mnt/data/time/seen")) - time.time()) < DEADLINE, "the fake clock is not set"


def test_right_clock_is_left_alone(root: FakeRoot) -> None:
    sync(root, wrong(-0.3), lambda: bool(daemons(root)))
    assert not root.called("date")


def test_later_steps_are_capped_and_nothing_listens(root: FakeRoot) -> None:
    sync(root, wrong(0), lambda: bool(daemons(root)))
    call = daemons(root)[0]
    for part in (
        "maxchange 1000 0 -1",
        "makestep 1 -1",
        "port 0",
        "cmdport 0",
        "bindcmdaddress /",
        "-u _chrony",
    ):
        assert part in call


def test_after_a_crash_the_first_step_is_not_free_again(root: FakeRoot) -> None:
    root.write("run/kubesolo/clock-set", "")
    sync(root, wrong(99999), lambda: bool(daemons(root)))
    assert not questions(root)
    assert not root.called("date")


def test_server_before_the_build_is_not_believed(root: FakeRoot) -> None:
    sync(root, wrong(BUILD - NOW - YEAR), lambda: len(questions(root)) > 1)
    assert not root.called("date")
    assert not daemons(root)


@pytest.mark.parametrize("answer", ["", "Timeout reached", "System clock wrong by nonsense"])
def test_without_an_answer_it_is_asked_again(root: FakeRoot, answer: str) -> None:
    sync(root, answer, lambda: len(questions(root)) > 1)
    assert not root.called("date")


def test_every_kind_of_server(root: FakeRoot) -> None:
    sync(root, "", lambda: bool(questions(root)), "time.example 10.0.0.1:1123 fd00::1 $(id)")
    call = questions(root)[0]
    for part in ("server time.example iburst", "server 10.0.0.1 port 1123 iburst", "server fd00::1 iburst"):
        assert part in call
    assert "id)" not in call


@pytest.mark.parametrize(
    ("ntp", "servers", "asked"),
    [
        ("", "", "pool pool.ntp.org"),
        ("10.0.2.9", "", "server 10.0.2.9"),
        ("10.0.2.9", "a.example", "server a.example"),
    ],
)
def test_operator_before_lease_before_pool(root: FakeRoot, ntp: str, servers: str, asked: str) -> None:
    lease(root, "bound", ntpsrv=ntp)
    sync(root, "", lambda: bool(questions(root)), servers)
    assert asked in questions(root)[0]


def test_lease_wakes_who_waits_for_an_answer(root: FakeRoot) -> None:
    """The pause after a third failure is longer than this test."""
    root.program("usr/sbin/chronyd", CHRONYD)
    root.write("answer", "\n")
    with background(root, "sync-clock"):
        for count in range(1, 12):
            wait(lambda count=count: len(questions(root)) >= count, lambda: root.calls)  # type: ignore[misc]
            lease(root, "renew", ntpsrv="10.0.2.9")
    assert "server 10.0.2.9" in questions(root)[-1]


def test_other_servers_are_followed_without_a_death(root: FakeRoot) -> None:
    root.program("usr/sbin/chronyd", CHRONYD)
    root.write("answer", wrong(0))
    with background(root, "sync-clock") as process:
        wait(lambda: bool(daemons(root)), lambda: root.calls)
        wait(lambda: (root.path / "run/kubesolo/chronyd.pid").exists(), lambda: root.calls)
        lease(root, "renew", ntpsrv="10.0.2.9")
        wait(lambda: len(daemons(root)) > 1, lambda: root.calls)
        assert process.poll() is None
    assert "server 10.0.2.9" in daemons(root)[-1]


def test_end_of_the_daemon_ends_the_service(root: FakeRoot) -> None:
    """`keep` starts it again."""
    root.program("usr/sbin/chronyd", CHRONYD.replace("mkfifo", "exit 3; mkfifo"))
    root.write("answer", wrong(0))
    assert root.script("sync-clock").returncode == 1


def test_console_gets_steps_and_excess_once(root: FakeRoot) -> None:
    root.write("dev/tty9", "")
    root.write("sys/class/tty/console/active", "tty9\n")
    stamp = "2026-11-26T01:36:25Z"
    excess = (
        f"{stamp} Adjustment of 5000.000 seconds exceeds the allowed maximum of 1000.000 seconds (ignored)\n"
    )
    root.write("says", f"{stamp} System clock was stepped by -12.000000 seconds\n{excess * 3}last\n")
    log = root.path / "run/kubesolo/chronyd.log"
    sync(root, wrong(0), lambda: log.exists() and "last" in log.read_text())
    console = root.read("dev/tty9")
    assert "stepped by -12" in console
    assert console.count("differ by more than 1000 s") == 1


def remembered(root: FakeRoot) -> list[str]:
    return [path.name for path in (root.path / "mnt/data/time").iterdir()]


def record(root: FakeRoot) -> None:
    result = root.shell(
        '. "$ROOT/usr/lib/kubesolo-os/functions.sh"\n. "$SHARE/time.sh"\nread_build_epoch\nrecord_time'
    )
    assert result.returncode == 0, result.stderr


def test_time_is_remembered_whole(root: FakeRoot) -> None:
    record(root)
    assert abs(int(root.read("mnt/data/time/seen")) - time.time()) < DEADLINE
    assert root.called("sync") == ["/mnt/data/time"], "the name; the content was flushed before it got one"
    assert remembered(root) == ["seen"]


def test_what_cannot_be_flushed_replaces_nothing_and_costs_no_reserve(root: FakeRoot) -> None:
    root.write("mnt/data/time/seen", "1795000001\n")
    reserve = root.write("mnt/data/.reserve", "")
    root.write("fakes/dd", "dd() { return 1; }\n")
    record(root)
    assert reserve.exists()
    assert root.read("mnt/data/time/seen") == "1795000001\n"
    assert remembered(root) == ["seen"]


def test_time_that_cannot_be_is_not_remembered(root: FakeRoot) -> None:
    root.write("usr/lib/os-release", f"BUILD_EPOCH={NOW - 11 * YEAR}\n")
    record(root)
    assert not remembered(root)
