"""Stage 90 and the supervisor: the payload's command line, its environment, restarts, its log."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import time
from functools import partial
from pathlib import Path

import pytest

from tests.device.fakeroot import DEADLINE, FakeRoot, complete

DEFAULT = ["--path", "/var/lib/kubesolo", "--local-storage", "--apiserver-extra-sans", "node-1,10.0.2.15"]


@pytest.fixture
def node(root: FakeRoot) -> FakeRoot:
    """A root as after stage 80, with an address."""
    root.write("run/kubesolo/etc/hostname", "node-1\n")
    root.write("run/kubesolo/address", "eth0 10.0.2.15\n")
    return root


def arguments(root: FakeRoot, settings: str = "") -> tuple[list[str], str]:
    """Run stage 90; returns the payload's arguments and the log."""
    root.write("run/kubesolo/settings", settings)
    result = root.stage("90-kubesolo")
    assert result.returncode == 0, result.stderr
    assert result.stderr.splitlines()[-1] == complete("90-kubesolo"), "the boot-success marker"
    return root.read("run/kubesolo/payload.args").splitlines(), result.stderr


def test_default_command_line(node: FakeRoot) -> None:
    assert arguments(node)[0] == DEFAULT


def test_boot_parameter_before_extra_flags_before_cloud_init(node: FakeRoot) -> None:
    node.write(
        "etc/kubesolo/extra-flags", "# mine\n--path /b --full\n--apiserver-extra-sans=extra.local,node-1\n"
    )
    node.write("run/kubesolo/cloud-init/flags", "--path /c\n--full=false --load-balancer")
    args, _ = arguments(node, "KUBESOLO_FLAGS='--path=/a,--debug'\n")
    assert args == [
        *["--path=/a", "--debug", "--full", "--load-balancer", "--local-storage"],
        *["--apiserver-extra-sans", "extra.local,node-1,10.0.2.15"],
    ]


def test_values_are_not_expanded(node: FakeRoot) -> None:
    node.write("etc/kubesolo/extra-flags", "--local-storage-shared-path /* $(reboot)\n")
    args, _ = arguments(node)
    assert args[:2] == ["--local-storage-shared-path", "/*"]
    assert not node.called("reboot")


def test_secrets_go_by_file_and_not_into_the_log(node: FakeRoot) -> None:
    node.write("etc/kubesolo/extra-flags", "--portainer-edge-key SECRET1 --portainer-edge-id=SECRET2\n")
    args, log = arguments(node, "KUBESOLO_EDGE_KEY='SECRET3'\n")
    assert "SECRET" not in log
    assert args == DEFAULT
    environment = node.path / "run/kubesolo/payload.env"
    assert environment.read_text().splitlines() == [
        "KUBESOLO_PORTAINER_EDGE_ID=SECRET2",
        "KUBESOLO_PORTAINER_EDGE_KEY=SECRET3",
    ]
    assert environment.stat().st_mode & 0o077 == 0
    assert (node.path / "run/kubesolo/payload.args").stat().st_mode & 0o077 == 0


def test_edge_key_with_blanks_is_one_word_on_its_way(node: FakeRoot) -> None:
    node.write("etc/kubesolo/extra-flags", '--portainer-edge-key="a b  *" \t --full\r\n')
    assert arguments(node)[0] == ["--full", *DEFAULT]
    assert node.read("run/kubesolo/payload.env") == "KUBESOLO_PORTAINER_EDGE_KEY=a b  *\n"


def test_the_agents_mode_reaches_the_payload(node: FakeRoot) -> None:
    lines = (
        "KUBESOLO_PORTAINER_EDGE_ASYNC=true",
        "KUBESOLO_PORTAINER_EDGE_ID=1",
        "KUBESOLO_PORTAINER_EDGE_KEY=2",
    )
    node.write("run/kubesolo/cloud-init/payload.env", "".join(f"{line}\n" for line in lines))
    arguments(node)
    assert sorted(node.read("run/kubesolo/payload.env").splitlines()) == list(lines)


def test_secrets_stay_out_of_the_trace(node: FakeRoot) -> None:
    node.write("etc/kubesolo/extra-flags", "--portainer-edge-id SECRET1\n")
    node.write(
        "run/kubesolo/settings", "KUBESOLO_FLAGS='--portainer-edge-key=SECRET2'\nKUBESOLO_EDGE_ID='SECRET3'\n"
    )
    result = node.shell('set -eux\n. "$ROOT/run/kubesolo-init/stages/90-kubesolo.sh"')
    assert "stage_complete 90-kubesolo.sh" in result.stderr, "it is traced"
    assert "SECRET" not in result.stderr
    assert "KEY=SECRET2" in node.read("run/kubesolo/payload.env")


def test_without_network_card_there_is_a_dummy_interface_at_once(node: FakeRoot) -> None:
    (node.path / "run/kubesolo/address").unlink()
    args, log = arguments(node)
    assert args[-1] == "node-1,192.0.2.1"
    assert "link add kubesolo0 type dummy" in node.called("ip")
    assert node.read("proc/uptime").startswith("5.00"), "nothing to wait for"
    assert "no network address" in log


def test_without_a_lease_the_wait_is_short(node: FakeRoot) -> None:
    (node.path / "run/kubesolo/address").unlink()
    node.network_card("eth0")
    assert arguments(node)[0][-1] == "node-1,192.0.2.1"
    assert 8 <= float(node.read("proc/uptime").split()[0]) <= 10


def supervise(root: FakeRoot, payload: str, key: str = "k", **environment: str) -> subprocess.Popen[bytes]:
    """Start run-payload with the fakes in place."""
    root.write("run/kubesolo/payload.args", "--path\n/var/lib/kubesolo\n")
    root.write("run/kubesolo/payload.env", f"KUBESOLO_PORTAINER_EDGE_KEY={key}\n")
    root.program("usr/bin/kubesolo", payload)
    source = '. "$ROOT/fakes.sh"\n. "$ROOT/usr/lib/kubesolo-os/run-payload"'
    return subprocess.Popen(
        [root.busybox, "sh", "-c", source],
        env={"ROOT": str(root.path), "PATH": os.defpath, "KUBESOLO_DEBUG": "1", **environment},
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        # A shell can not trap what was ignored when it started, as under nohup.
        preexec_fn=partial(signal.signal, signal.SIGHUP, signal.SIG_DFL),
    )


def wait_for(path: Path, text: str) -> str:
    deadline = time.monotonic() + DEADLINE
    while not (path.exists() and text in path.read_text()):
        assert time.monotonic() < deadline, f"{text!r} not in {path.read_text() if path.exists() else path}"
        time.sleep(0.05)
    return path.read_text()


def stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def only_back_off_is_quick(root: FakeRoot) -> None:
    """Waiting costs no time, except for the process that looks after the log."""
    root.write("fakes.sh", 'sleep() { [ "$1" != 3600 ] || read -r _ <>"$ROOT/never"; }\n')
    os.mkfifo(root.path / "never")


def delays(log: str) -> list[str]:
    return [line.split()[-2] for line in log.splitlines() if "next start" in line]


def test_payload_is_restarted_with_back_off(root: FakeRoot) -> None:
    only_back_off_is_quick(root)
    process = supervise(root, f'"{root.busybox}" env\necho "args: $*"\nexit 3\n')
    try:
        log = wait_for(root.path / "var/log/kubesolo.log", "next start in 60 s")
    finally:
        stop(process)
    assert delays(log)[:7] == ["1", "2", "4", "8", "16", "32", "60"]
    assert "payload ended with status 3" in log
    assert "args: --path /var/lib/kubesolo" in log
    assert "KUBESOLO_PORTAINER_EDGE_KEY=k" in log
    assert "KUBESOLO_DEBUG" not in log, "the environment of the boot stays behind"
    assert "ROOT=" not in log
    assert "GOGC=off" in log, "no garbage is collected until the payload says how"


def test_back_off_starts_again_after_a_healthy_minute(root: FakeRoot) -> None:
    only_back_off_is_quick(root)
    payload = """
        up=${0%/usr/*}/proc/uptime
        [ ! -e "$0.4" ] || { read -r now _ <"$up"; echo "$((${now%.*} + 61)).00" >"$up"; }
        i=1; while [ -e "$0.$i" ]; do i=$((i + 1)); done; : >"$0.$i"
    """
    process = supervise(root, payload)
    log = root.path / "var/log/kubesolo.log"
    try:
        deadline = time.monotonic() + DEADLINE
        while not (log.exists() and len(delays(log.read_text())) >= 6):
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        stop(process)
    assert delays(log.read_text())[:6] == ["1", "2", "4", "8", "1", "1"]


def test_payload_is_stopped_with_the_supervisor(root: FakeRoot) -> None:
    payload = "trap 'echo stopped cleanly; exit 0' TERM\necho up\nwhile :; do :; done\n"
    # Real sleeping, so that the payload is waited for.
    root.write("fakes.sh", "")
    process = supervise(root, payload)
    log = root.path / "var/log/kubesolo.log"
    try:
        wait_for(log, "up")
        process.terminate()
        assert process.wait(DEADLINE) == 0
    finally:
        stop(process)
    assert "stopped cleanly" in log.read_text()
    assert not (root.path / "run/kubesolo/run-payload.pid").exists()


def test_payload_is_started_again_on_request(root: FakeRoot) -> None:
    root.write("fakes.sh", "")
    process = supervise(root, "trap 'echo stopped; exit 0' TERM\necho \"up with $*\"\nwhile :; do :; done\n")
    log = root.path / "var/log/kubesolo.log"
    try:
        wait_for(log, "up with --path /var/lib/kubesolo")
        root.write("run/kubesolo/payload.args", "--changed\n")
        process.send_signal(signal.SIGHUP)
        text = wait_for(log, "up with --changed")
    finally:
        stop(process)
    assert "stopped" in text
    assert delays(text) == ["1"]


def test_payload_that_does_not_stop_is_killed(root: FakeRoot) -> None:
    root.write("fakes.sh", "")
    process = supervise(root, "trap '' TERM\necho up\nwhile :; do :; done\n", STOP_SECONDS="1")
    log = root.path / "var/log/kubesolo.log"
    try:
        wait_for(log, "up")
        process.terminate()
        assert process.wait(DEADLINE) == 0
    finally:
        stop(process)
    assert "did not stop in 1 s: killed" in log.read_text()


def test_second_supervisor_leaves_at_once(root: FakeRoot) -> None:
    root.write("run/kubesolo/run-payload.pid", f"{os.getpid()}\n")
    process = supervise(root, "exit 0\n")
    try:
        assert process.wait(DEADLINE) == 0
    finally:
        stop(process)
    assert not (root.path / "var/log/kubesolo.log").exists()


@pytest.mark.parametrize("key", ["a b", "*", "/*", "$(reboot) 'x' \"y\""])
def test_any_edge_key_reaches_the_payload_as_it_is(root: FakeRoot, key: str) -> None:
    only_back_off_is_quick(root)
    process = supervise(root, 'echo "key: $KUBESOLO_PORTAINER_EDGE_KEY"\n', key=key)
    try:
        wait_for(root.path / "var/log/kubesolo.log", f"key: {key}\n")
    finally:
        stop(process)


# prctl(2)
PR_SET_CHILD_SUBREAPER = 36


def test_payload_of_a_killed_supervisor_is_taken_over(root: FakeRoot) -> None:
    root.write("fakes.sh", "")
    payload = """
        echo "$$ up"; echo kubesolo >"${0%/usr/*}/comm"; trap 'echo stopped; exit 0' TERM; while :; do :; done
    """
    log = root.path / "var/log/kubesolo.log"
    first = supervise(root, payload)
    second = None
    try:
        number = wait_for(log, "up").split()[0]
        root.write(f"proc/{number}/comm", "kubesolo\n")
        # The payload may be up before its number is written down.
        wait_for(root.path / "run/kubesolo/payload.pid", number)
        # The orphan becomes a child of this process, which collects it as init does on a node.
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        first.kill()
        first.wait()
        second = supervise(root, payload)
        wait_for(log, f"runs already, process {number}")
        wait_until_alone(second.pid, first.pid, int(number))
        second.send_signal(signal.SIGHUP)
        os.waitpid(int(number), 0)
        wait_for(log, "next start in 1 s")
        text = wait_for(log, "up")
    finally:
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(first.pid, signal.SIGKILL)
        if second:
            stop(second)
    assert text.count(" up\n") <= 2
    assert text.index("stopped") < text.index("next start")


def wait_until_alone(supervisor: int, killed: int, payload: int) -> None:
    """Of the killed one's process group nothing but the payload remains: not what looked after its log."""
    deadline = time.monotonic() + DEADLINE
    while others := [number for number in members(killed) if number != payload]:
        assert time.monotonic() < deadline, others
        time.sleep(0.05)
    assert supervisor not in members(killed)


def members(group: int) -> list[int]:
    """The processes of a group; a zombie is none."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(words[2]) == group and words[0] != "Z":
            found.append(int(entry.name))
    return found


def test_crashes_in_a_row_are_noted_for_the_screen(root: FakeRoot) -> None:
    only_back_off_is_quick(root)
    process = supervise(root, "exit 3\n")
    try:
        wait_for(root.path / "var/log/kubesolo.log", "next start in 8 s")
        count, status, _ = wait_for(root.path / "run/kubesolo/payload.ended", " 3 ").split()
    finally:
        stop(process)
    assert int(count) >= 4
    assert status == "3"
