"""Metrics of the node: text that Prometheus takes, answered over a real socket, and little memory."""

from __future__ import annotations

import http.client
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.update import metrics
from tests.device.fakeroot import DEADLINE, FakeRoot
from tests.unit.update.prometheus import parse

RESIDENT_KB = 2048


@pytest.fixture
def node(root: FakeRoot) -> FakeRoot:
    root.write("usr/lib/os-release", 'VERSION_ID="0.2.0"\nARCHITECTURE="amd64"\n')
    root.write("proc/cmdline", "console=ttyS0 kubesolo.slot=B quiet\n")
    root.write("proc/uptime", "110.25 3.00\n")
    root.write("proc/meminfo", "MemTotal:  1000 kB\nMemFree: 1 kB\nMemAvailable: 500 kB\n")
    root.write("run/kubesolo/bootenv", "active_slot=B\nboot_counter=2\nboot_success=0\n")
    stages = "stage-00-early-mount 0.50\nstage-50-network 2.00\npayload-exec 3.00\nstage-50-network 9.00\n"
    root.write("run/kubesolo/milestones", stages)
    root.write("run/kubesolo/payload.starts", "3\n")
    root.write("run/kubesolo/cloud-init/problems", "one\ntwo\n")
    return root


def run(root: FakeRoot, *words: str, request: bytes = b"") -> bytes:
    command = [str(root.busybox), "sh", str(root.path / "usr/lib/kubesolo-os/metrics"), *words]
    result = subprocess.run(
        command,
        env={"ROOT": str(root.path)},
        input=request,
        capture_output=True,
        timeout=DEADLINE,
        check=False,
    )
    assert result.stderr == b""
    return result.stdout


def printed(root: FakeRoot) -> dict[str, float]:
    return parse(run(root, "--print").decode())


def test_what_the_node_tells(node: FakeRoot) -> None:
    found = printed(node)
    idle = {f'kubesolo_update_phase{{phase="{name}"}}': float(name == "idle") for name in metrics.PHASES}
    assert found == {
        'kubesolo_os_info{version="0.2.0",slot="B",channel="stable",architecture="amd64"}': 1,
        "kubesolo_os_boot_success": 0,
        "kubesolo_os_boot_counter": 2,
        "kubesolo_os_uptime_seconds": 110.25,
        "kubesolo_os_memory_total_bytes": 1024000,
        "kubesolo_os_memory_available_bytes": 512000,
        'kubesolo_os_boot_stage_seconds{stage="00-early-mount"}': 0.5,
        'kubesolo_os_boot_stage_seconds{stage="50-network"}': 2,
        "kubesolo_os_payload_restarts_total": 2,
        "kubesolo_os_configuration_problems": 2,
        "kubesolo_os_update_available": 0,
        "kubesolo_update_attempts_total": 0,
        **idle,
    }


def test_what_the_updater_has_said_is_part_of_it(node: FakeRoot) -> None:
    refused = {"0.3.0": 'a "quoted" reason \\ with 100 %s'}
    metrics.write(node.path, {"phase": "rolled_back", "attempts": 2, "refused": refused})
    found = printed(node)
    assert found['kubesolo_update_phase{phase="rolled_back"}'] == 1
    assert found["kubesolo_update_attempts_total"] == 2
    assert any(key.startswith('kubesolo_update_refused{version="0.3.0",reason="a \\"quoted') for key in found)


def test_a_node_that_has_just_started_has_no_more_than_it_knows(root: FakeRoot) -> None:
    root.write("proc/meminfo", "")
    found = printed(root)
    assert "kubesolo_os_boot_success" not in found
    assert found["kubesolo_os_payload_restarts_total"] == 0


def test_the_channel_is_the_operator_s(node: FakeRoot) -> None:
    node.write("run/kubesolo/medium", "disk vda3\n")
    node.write("run/kubesolo/cloud-init/update.conf", "channel=edge\n")
    service(node)
    assert any('channel="edge"' in key for key in printed(node))
    node.write("etc/kubesolo/update.conf", 'channel = be"ta\n')
    service(node)
    assert any('channel="beta"' in key for key in printed(node))


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        (b"GET /metrics HTTP/1.1", b"200 OK"),
        (b"GET /metrics?a=b HTTP/1.0", b"200 OK"),
        (b"GET /../etc/shadow HTTP/1.1", b"404 Not Found"),
        (b"GET * HTTP/1.1", b"404 Not Found"),
        (b"POST /metrics HTTP/1.1", b"405 Method Not Allowed"),
        (b"\\`reboot` $(reboot) %s", b"405 Method Not Allowed"),
    ],
)
def test_one_path_and_one_method(node: FakeRoot, request_line: bytes, status: bytes) -> None:
    answer = run(node, request=request_line + b"\r\nHost: a\r\n\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.splitlines()[0] == b"HTTP/1.0 " + status
    assert f"Content-Length: {len(body)}".encode() in head
    assert b"root" not in body


def test_head_has_no_body(node: FakeRoot) -> None:
    assert run(node, request=b"HEAD /metrics HTTP/1.1\r\n\r\n").endswith(b"\r\n\r\n")


@pytest.mark.parametrize("request_", [b"", b"GET /metrics HTTP/1.1\r\n" + b"a: b\r\n" * 100, b"x" * 100000])
def test_a_request_without_an_end_gets_no_answer(node: FakeRoot, request_: bytes) -> None:
    assert run(node, request=request_) == b""


@pytest.fixture
def port(node: FakeRoot) -> Iterator[int]:
    """The port of a listener as the service starts it, but for the user that it becomes."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number = int(probe.getsockname()[1])
    program = node.program(
        "serve", f'ROOT={node.path} exec {node.busybox} sh "$ROOT/usr/lib/kubesolo-os/metrics"\n'
    )
    program.write_text(program.read_text().replace("$ROOT", str(node.path)))
    process = subprocess.Popen(
        [str(node.busybox), "nc", "-ll", "-p", str(number), "-e", str(program)], stdin=subprocess.DEVNULL
    )
    node.write("listener", str(process.pid))
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", number), 1).close()
            break
        except OSError:
            time.sleep(0.05)
    yield number
    process.terminate()
    process.wait(DEADLINE)


def get(port: int) -> dict[str, float]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE)
    connection.request("GET", "/metrics")
    answer = connection.getresponse()
    assert answer.getheader("Content-Type") == "text/plain; version=0.0.4; charset=utf-8"
    found = parse(answer.read().decode())
    connection.close()
    return found


def test_a_client_that_says_nothing_holds_up_nobody(node: FakeRoot, port: int) -> None:
    with socket.create_connection(("127.0.0.1", port)) as slow:
        assert get(port)["kubesolo_os_boot_counter"] == 2
        slow.settimeout(DEADLINE)
        assert slow.recv(1) == b"", "it is left after a while"


def test_the_listener_is_small(node: FakeRoot, port: int) -> None:
    """Also after it has answered."""
    for _ in range(3):
        get(port)
    status = Path("/proc", node.read("listener"), "status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found
    assert int(found[1]) < RESIDENT_KB, status


START = 'exec() { printf "%s\\n" "exec $*" >>"$ROOT/calls"; exit 0; }\n'


def service(root: FakeRoot) -> list[str]:
    """What the service becomes."""
    root.shell(f'{START}. "$ROOT/usr/lib/kubesolo-os/init.d/45-metrics"')
    return root.called("exec")


@pytest.mark.parametrize(
    ("medium", "setting", "runs"),
    [
        ("disk vda3", "", True),
        ("disk vda3", "metrics=no\n", False),
        ("removable sr0", "", False),
        ("removable sr0", "metrics=yes\n", True),
    ],
)
def test_where_metrics_are_served(node: FakeRoot, medium: str, setting: str, runs: bool) -> None:
    node.write("run/kubesolo/medium", f"{medium}\n")
    node.write("run/kubesolo/cloud-init/update.conf", setting)
    node.write("mnt/data/update/update.prom", "kept\n")
    assert bool(service(node)) is runs
    assert (node.path / "run/kubesolo/update.prom").exists() is runs


def test_the_listener_is_a_user_who_may_do_little(node: FakeRoot) -> None:
    node.write("run/kubesolo/medium", "disk vda3\n")
    (call,) = service(node)
    assert "-c _metrics:_metrics" in call
    assert call.endswith("nc -- -ll -p 9100 -e /usr/lib/kubesolo-os/metrics")
