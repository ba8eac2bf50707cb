from __future__ import annotations

import json
import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tasks.lib.errors import BuildError
from tasks.lib.vm.qmp import Monitor
from tasks.lib.vm.serial import Serial


def fake_qemu(channel: socket.socket, answers: list[list[dict[str, Any]]]) -> None:
    """Greet, then send the messages of each entry after each command."""

    def loop() -> None:
        channel.sendall(b'{"QMP": {}}\r\n')
        for messages in answers:
            channel.recv(1000)
            for message in messages:
                channel.sendall(json.dumps(message).encode() + b"\r\n")

    threading.Thread(target=loop, daemon=True).start()


def test_monitor_answers_between_events() -> None:
    host, qemu = socket.socketpair()
    fake_qemu(qemu, [[{"return": {}}], [{"event": "RESUME"}, {"return": {"status": "running"}}]])
    monitor = Monitor(host, timeout=5)
    assert monitor.execute("query-status") == {"status": "running"}
    assert monitor.wait_event(lambda event: event["event"] == "RESUME", 1) == {"event": "RESUME"}
    with pytest.raises(BuildError, match="in time"):
        monitor.wait_event(lambda event: True, 0.1)


def test_monitor_refusal() -> None:
    host, qemu = socket.socketpair()
    fake_qemu(qemu, [[{"return": {}}], [{"error": {"class": "GenericError", "desc": "no such device"}}]])
    with pytest.raises(BuildError, match="no such device"):
        Monitor(host, timeout=5).execute("eject")


def test_monitor_that_does_not_greet() -> None:
    host, qemu = socket.socketpair()
    with pytest.raises(BuildError, match="in time"):
        Monitor(host, timeout=0.1)
    qemu.close()
    with pytest.raises(BuildError, match="gone"):
        Monitor(host, timeout=1)


def test_serial_keeps_bytes_and_arrival(tmp_path: Path) -> None:
    host, guest = socket.socketpair()
    seen: list[bytes] = []
    serial = Serial(host, tmp_path / "serial.log", seen.append)
    guest.sendall(b"\x1b[2Jfirst\r\nsec")
    time.sleep(0.2)
    before = time.monotonic()
    guest.sendall(b"ond\r\n")
    assert serial.wait("second", 5) >= before
    place = serial.position()
    with pytest.raises(BuildError, match="first"):
        serial.wait("second", 0.1, start=place)
    guest.close()
    serial.close()
    assert (tmp_path / "serial.log").read_bytes() == b"\x1b[2Jfirst\r\nsecond\r\n"
    assert b"".join(seen) == (tmp_path / "serial.log").read_bytes()
    assert serial.tail() == "first\nsecond"


def test_serial_says_that_the_machine_ended(tmp_path: Path) -> None:
    host, guest = socket.socketpair()
    serial = Serial(host, tmp_path / "serial.log")
    guest.sendall(b"last words\n")
    guest.close()
    with pytest.raises(BuildError, match=r"ended\nlast words"):
        serial.wait("marker", 30)
