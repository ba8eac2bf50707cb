"""What the screen and the consoles say: never better than it is."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from agent.node import Node
from agent.status import describe
from tests.device.fakeroot import DEADLINE, FakeRoot
from tests.device.test_scripts import background


@pytest.fixture
def node(root: FakeRoot) -> FakeRoot:
    """A node on which all is well; this process stands for the payload."""
    root.write("usr/lib/os-release", 'PRETTY_NAME="KubeSolo OS 1"\n')
    root.write("run/kubesolo/etc/hostname", "node-1\n")
    root.write("run/kubesolo/data", "disk /dev/vda\n")
    root.write("run/kubesolo/milestones", "payload-exec 5.00\napiserver-listening 8.00\n")
    root.be_well()
    root.write("proc/mounts", "/dev/vda /mnt/data ext4 rw,noatime 0 0\n")
    return root


def status(root: FakeRoot) -> str:
    """The line that everybody shows."""
    source = '. "$ROOT/usr/lib/kubesolo-os/functions.sh"\n. "$SHARE/health.sh"\nread_health\n'
    result = root.shell(f'{source}echo "$STATUS | ${{ADDRESS:-none}} | $DATA_KIND"')
    assert result.stderr == ""
    return result.stdout.strip()


def asked(root: FakeRoot) -> dict[str, object]:
    """What `kubesolo-os status` finds."""
    return describe(Node(root.path, (str(root.busybox), "sh")))


def test_command_has_the_words_of_the_screen(node: FakeRoot) -> None:
    found = asked(node)
    assert (found["name"], found["address"], found["interface"]) == ("node-1", "10.0.2.15", "eth0")
    assert found["state"] == "Ready"
    assert found["data"] == {"kind": "disk", "device": "/dev/vda", "state": "on the data partition"}
    node.write("run/kubesolo/data-full", "")
    node.write("run/kubesolo/address", "kubesolo0 192.0.2.1\n")
    found = asked(node)
    assert found["state"] == "NOT WELL: the data partition is full; no network address"
    assert found["api"] == ""


def test_well(node: FakeRoot) -> None:
    assert status(node) == "Ready | 10.0.2.15 | on the data partition"


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("run/kubesolo/payload.health", "100 cluster DNS does not answer", "NOT READY: cluster DNS does not"),
        ("run/kubesolo/payload.health", "20 ok", "NOT WELL: Kubernetes does not say how it is"),
        ("run/kubesolo/address", "kubesolo0 192.0.2.1", "Ready; no network address | none"),
        ("run/kubesolo/address", "", "Ready; no network address | none"),
        ("run/kubesolo/data", "memory", "Ready | 10.0.2.15 | RAM ONLY: all is lost at the next reboot"),
        ("proc/mounts", "/dev/vda /mnt/data ext4 ro,noatime 0 0", "NOT WELL: the data partition is read"),
        ("run/kubesolo/data-full", "", "NOT WELL: the data partition is full"),
        ("run/kubesolo/payload.pid", "4194305", "Kubernetes is about to start"),
    ],
)
def test_what_is_wrong_is_said_in_words(node: FakeRoot, file: str, text: str, said: str) -> None:
    node.write(file, f"{text}\n")
    assert said in status(node)
    if file not in ("run/kubesolo/address", "run/kubesolo/data"):
        assert not status(node).startswith("Ready")


def test_crash_loop_is_not_what_was_reached_before(node: FakeRoot) -> None:
    node.write("run/kubesolo/milestones", "payload-exec 5.00\nnode-ready 30.00\npayload-exec 60.00\n")
    node.write("run/kubesolo/payload.ended", "3 2 118\n")
    (node.path / "run/kubesolo/payload.health").unlink()
    assert status(node).startswith("NOT WELL: Kubernetes ended 3 times in a row, and starts again")
    node.write("run/kubesolo/payload.pid", "4194305\n")
    assert status(node).startswith("NOT WELL: Kubernetes ended (3 in a row, status 2), next start at 118 s")


def test_payload_that_starts_is_not_ready(node: FakeRoot) -> None:
    (node.path / "run/kubesolo/payload.health").unlink()
    assert status(node).startswith("Kubernetes starts: the API server listens")
    node.write("run/kubesolo/milestones", "apiserver-listening 8.00\npayload-exec 60.00\n")
    assert status(node).startswith("Kubernetes starts |")


def shown(node: FakeRoot) -> str:
    """The screen as it is drawn first."""
    with background(node, "status-screen") as process:
        assert process.stdout is not None
        text = os.read(process.stdout.fileno(), 65536).decode()
        assert process.stdin is not None
        process.stdin.write(b"\n")
        process.stdin.flush()
        assert "node-1" in os.read(process.stdout.fileno(), 65536).decode(), "a key draws it again"
    return text


def test_screen_says_who_and_how(node: FakeRoot) -> None:
    text = shown(node)
    for part in ("KubeSolo OS 1", "node-1", "10.0.2.15 (eth0)", "https://10.0.2.15:6443", "State    Ready"):
        assert part in text


def test_screen_fits_and_has_no_made_up_address(node: FakeRoot) -> None:
    node.write("run/kubesolo/address", "kubesolo0 192.0.2.1\n")
    node.write("run/kubesolo/payload.health", f"100 the node is not Ready: {'long words ' * 20}\n")
    lines = shown(node).split("\033[H")[-1].splitlines()
    assert "192.0.2.1" not in "".join(lines)
    assert len(lines) < 24
    assert max(map(len, lines)) < 80
    assert "not reachable from outside" in "".join(lines)


def wait_for(path: Path, text: str) -> str:
    deadline = time.monotonic() + DEADLINE
    while text not in path.read_text():
        assert time.monotonic() < deadline, path.read_text()
        time.sleep(0.02)
    return path.read_text()


def test_consoles_but_the_screen_get_a_line_for_each_change(node: FakeRoot) -> None:
    node.write("sys/class/tty/console/active", "tty0 ttyS0 hvc0\n")
    for console in ("tty0", "ttyS0", "hvc0"):
        node.write(f"dev/{console}", "")
    with background(node, "console-state", STATE_SECONDS="0.1"):
        text = wait_for(node.path / "dev/ttyS0", "Ready\n")
        assert "[kubesolo] 110 s: node node-1, 10.0.2.15 (eth0), API https://10.0.2.15:6443, data on" in text
        wait_for(node.path / "dev/hvc0", "Ready\n")
        node.write("run/kubesolo/payload.health", "105 cluster DNS does not answer\n")
        wait_for(node.path / "dev/ttyS0", "[kubesolo] 110 s: NOT READY: cluster DNS does not answer\n")
        node.write("run/kubesolo/payload.health", "105 ok\n")
        deadline = time.monotonic() + DEADLINE
        while node.read("dev/ttyS0").count("s: Ready\n") < 2:
            assert time.monotonic() < deadline
            time.sleep(0.02)
    assert len(node.read("dev/ttyS0").splitlines()) == 4, "changes only"
    assert node.read("dev/tty0") == "", "there is the screen"


def test_without_such_a_console_nothing_runs(node: FakeRoot) -> None:
    node.write("sys/class/tty/console/active", "tty0\n")
    assert node.script("console-state").returncode == 0
