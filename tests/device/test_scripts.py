"""Scripts of the running node: the host port, the clock, the status screen, the shutdown."""

from __future__ import annotations

import os
import signal
import subprocess
import tty
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tasks.lib.paths import TOP
from tests.device.fakeroot import FakeRoot


@contextmanager
def background(root: FakeRoot, script: str, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a script with the fakes in place until the block ends."""
    process = subprocess.Popen(
        [root.busybox, "sh", "-c", f'. "$ROOT/fakes.sh"\n. "$ROOT/usr/lib/kubesolo-os/{script}"'],
        env={"ROOT": str(root.path), "PATH": os.defpath, **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


class Port:
    """The host's end of the port: a pseudo terminal stands for the virtio device."""

    def __init__(self, root: FakeRoot) -> None:
        self.master, slave = os.openpty()
        tty.setraw(slave)
        root.write("sys/class/virtio-ports/vport1p1/name", "os.kubesolo.host\n")
        (root.path / "dev/vport1p1").symlink_to(os.ttyname(slave))

    def ask(self, command: str) -> tuple[str, str]:
        os.write(self.master, f"{command}\n".encode())
        data = os.read(self.master, 65536)
        while b"\n" not in data:
            data += os.read(self.master, 65536)
        header, body = data.split(b"\n", 1)
        if header.startswith(b"ok "):
            while len(body) < int(header.split()[1]):
                body += os.read(self.master, 65536)
            assert len(body) == int(header.split()[1])
        return header.decode(), body.decode()


@pytest.fixture
def port(root: FakeRoot) -> Iterator[Port]:
    root.write("run/kubesolo/boot.log", "boot line\n")
    root.write("proc/meminfo", "MemTotal: 1 kB\n")
    root.write("proc/1/comm", "init\n")
    port = Port(root)
    with background(root, "hostport"):
        yield port


TCP = """  sl  local_address rem_address   st tx_queue
   0: 0100007F:2810 00000000:0000 0A 00000000:00000000
   1: 0F02000A:280A 00000000:0000 0A 00000000:00000000
   2: 0F02000A:0016 0202000A:9999 01 00000000:00000000
"""
TCP6 = """  sl  local_address remote_address st
   0: 00000000000000000000000000000000:192B 00000000000000000000000000000000:0000 0A
   1: 00000000000000000000000001000000:0050 00000000000000000000000000000000:0000 0A
"""


def test_host_port_answers(root: FakeRoot, port: Port) -> None:
    root.write("run/kubesolo/root-images-kb", "4711\n")
    root.write("run/kubesolo/milestones", "init-start 1.00\n")
    root.write("var/log/kubesolo.log", "".join(f"payload line {number}\n" for number in range(300)))
    assert port.ask("ping") == ("ok 5", "pong\n")
    assert port.ask("milestones") == ("ok 16", "init-start 1.00\n")
    assert port.ask("meminfo")[1] == "MemTotal: 1 kB\nRootImages: 4711 kB\n"
    log = port.ask("log")[1].splitlines()
    assert log[0] == "boot line"
    assert log[1] == "payload line 100"
    assert log[-1] == "payload line 299"
    assert port.ask("mounts")[1] == root.read("proc/mounts")
    assert port.ask("modules") == ("ok 0", "")
    assert port.ask("payload-log")[1].count("payload line") == 300
    root.write("proc/net/tcp", TCP)
    root.write("proc/net/tcp6", TCP6)
    assert port.ask("ports")[1] == "10250\n6443\n", "listening, and not on the loopback address"


def test_host_port_hands_out_the_kubeconfig_once_it_exists(root: FakeRoot, port: Port) -> None:
    assert port.ask("kubeconfig") == ("error no kubeconfig yet", "")
    root.write("var/lib/kubesolo/pki/admin/admin.kubeconfig", "apiVersion: v1\n")
    assert port.ask("kubeconfig") == ("ok 15", "apiVersion: v1\n")


@pytest.mark.parametrize("command", ["sh", "", "reboot now", "cat /etc/shadow", "ping;id", "$(id)"])
def test_host_port_knows_only_its_commands(root: FakeRoot, port: Port, command: str) -> None:
    assert port.ask(command) == ("error unknown command", "")


def test_host_port_ends_the_machine(root: FakeRoot, port: Port) -> None:
    assert port.ask("reboot") == ("ok 0", "")
    assert port.ask("ping")[0] == "ok 5"
    assert root.called("reboot") == [""]
    root.write("proc/1/comm", "busybox\n")
    assert port.ask("poweroff") == ("ok 0", "")
    assert port.ask("ping")[0] == "ok 5"
    assert root.called("poweroff") == ["-f"], "no init to do it in the emergency shell"


def test_host_port_without_a_port_ends(root: FakeRoot) -> None:
    root.write("sys/class/virtio-ports/vport1p1/name", "com.example.other\n")
    assert root.script("hostport").returncode == 0


def test_status_screen_without_a_terminal_does_not_spin(root: FakeRoot) -> None:
    """Reading ends at once there; real time must pass between two looks."""
    root.write("run/kubesolo/milestones", "")
    root.fake("sleep", 'echo slept >>"$ROOT/calls"; read -r _ <>"$ROOT/never"')
    os.mkfifo(root.path / "never")
    with pytest.raises(subprocess.TimeoutExpired):
        subprocess.run(
            [
                root.busybox,
                "sh",
                "-c",
                '. "$ROOT/fakes.sh"; . "$ROOT/fakes/sleep"; . "$1"',
                "sh",
                root.path / "usr/lib/kubesolo-os/status-screen",
            ],
            env={"ROOT": str(root.path), "PATH": os.defpath},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            timeout=1,
            check=False,
        )
    assert root.calls == ["slept"]


def shut_down(root: FakeRoot) -> list[str]:
    """Run the shutdown script; `kill -1` would be meant for the whole machine."""
    root.write("fakes/kill", 'kill() { printf "kill %s\\n" "$*" >>"$ROOT/calls"; [ "$1" != -0 ]; }\n')
    result = root.script("shutdown")
    assert result.returncode == 0, result.stderr
    assert (root.path / "run/kubesolo/switching-off").exists(), "so that the payload stops the pods"
    return root.calls


def uptime(root: FakeRoot) -> float:
    return float(root.read("proc/uptime").split()[0])


def test_shutdown_gives_pods_that_nobody_could_stop_twenty_seconds(root: FakeRoot) -> None:
    events = root.write("sys/fs/cgroup/kubepods/cgroup.events", "populated 1\nfrozen 0\n")
    root.fake("sleep", f'[ "$up" -lt 900 ] || echo "populated 0" >"{events}"')
    before = uptime(root)
    shut_down(root)
    assert 3 < uptime(root) - before < 8, "not longer than they need"
    events.write_text("populated 1\n")
    (root.path / "fakes/sleep").unlink()
    before = uptime(root)
    result = root.script("shutdown")
    assert "pods did not end within 20 s: killed" in result.stderr
    assert 19 < uptime(root) - before < 22


def test_shutdown_stops_the_payload_then_unmounts_deepest_first(root: FakeRoot) -> None:
    root.write("run/kubesolo/run-payload.pid", "4242\n")
    points = ["/run", "/mnt/data", "/var/lib/kubesolo", "/var/lib/kubelet/pods/x/volumes/y"]
    root.write("proc/mounts", "".join(f"x {point} ext4 rw 0 0\n" for point in points))
    root.fake("umount", 'echo "x /run tmpfs rw 0 0" >"$ROOT/proc/mounts"')
    calls = shut_down(root)
    assert calls[0] == "kill -TERM 4242"
    assert "kill -TERM -1" in calls
    assert calls.index("kill -KILL -1") < calls.index("sync ") < len(calls) - 1
    assert calls[-1] == "umount /var/lib/kubelet/pods/x/volumes/y /var/lib/kubesolo /mnt/data"


def test_shutdown_makes_busy_data_read_only(root: FakeRoot) -> None:
    root.write("proc/mounts", "x /mnt/data ext4 rw 0 0\n")
    calls = shut_down(root)
    assert calls[-1] == "mount -o remount,ro /mnt/data"


def test_power_button_is_listened_to_where_there_is_one(root: FakeRoot) -> None:
    script = "init.d/60-power-button"
    text = (root.path / "usr/lib/kubesolo-os" / script).read_text()
    # `exec` passes over functions.
    root.write(f"usr/lib/kubesolo-os/{script}", text.replace("exec acpid", "acpid"))
    assert root.script(script).returncode == 0
    assert not root.called("acpid")
    root.write("dev/input/event0", "")
    assert root.script(script).returncode == 0
    assert root.called("acpid") == ["-f -c /etc/acpi -p /dev/null -l /dev/null"]
    assert (TOP / "overlay/etc/acpi/PWRF/00000080").stat().st_mode & 0o111
