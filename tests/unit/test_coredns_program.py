"""The CoreDNS of the image, run on this host with the manifest's Corefile less the kubernetes plugin."""

import contextlib
import re
import socket
import struct
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.addons import coredns
from tests.images.layout import read_layout
from tests.unit.targets import TARGET
from tests.unit.test_coredns_manifest import corefile

COREDNS = coredns(TARGET)
ANSWER = "192.0.2.7"
SERVFAIL = 2


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not COREDNS.exists():
        pytest.skip(f"{COREDNS.name} is not built; ./doit test builds it, so does ./doit image-coredns")
    path = tmp_path_factory.mktemp("coredns") / "coredns"
    with read_layout(COREDNS).layer() as tar:
        member = tar.extractfile("coredns")
        assert member is not None
        path.write_bytes(member.read())
    path.chmod(0o755)
    return path


class Server:
    """A running CoreDNS; `upstream` is the folder that its Corefile imports."""

    def __init__(self, program: Path, folder: Path) -> None:
        self.upstream = folder / "upstream"
        self.upstream.mkdir()
        self.dns, self.ready, health, metrics = (free_port() for _ in range(4))
        text = re.sub(r" {4}kubernetes .*?\n {4}\}\n", "", corefile(), flags=re.DOTALL)
        assert "kubernetes" not in text
        for old, new in {
            ".:53": f".:{self.dns}",
            "health": f"health 127.0.0.1:{health}",
            "ready": f"ready 127.0.0.1:{self.ready}",
            ":9153": f"127.0.0.1:{metrics}",
            "/run/kubesolo/dns": str(self.upstream),
            "reload 10s 5s": "reload 2s 1s",
        }.items():
            assert old in text
            text = text.replace(old, new, 1)
        config, self.log = folder / "Corefile", folder / "log"
        config.write_text(text)
        with self.log.open("wb") as log:
            self.process = subprocess.Popen([program, "-conf", config], stdout=log, stderr=log)

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(10)
        finally:
            self.process.kill()

    def is_ready(self) -> bool:
        address = f"http://127.0.0.1:{self.ready}/ready"
        with contextlib.suppress(OSError), urllib.request.urlopen(address, timeout=2) as reply:
            return bool(reply.status == 200)
        return False

    def code(self, name: str) -> int:
        """The response code (RFC 1035 4.1.1) for the name's address; -1 without an answer within 2 s."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(2)
            client.sendto(question(name), ("127.0.0.1", self.dns))
            with contextlib.suppress(TimeoutError, ConnectionError):
                return client.recv(512)[3] & 15
        return -1


def question(name: str) -> bytes:
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return struct.pack("!6H", 7, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!2H", 1, 1)


def wait(condition: object, server: Server, seconds: float = 20) -> None:
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while not condition():
        assert server.process.poll() is None, server.log.read_text()
        assert time.monotonic() < deadline, server.log.read_text()
        time.sleep(0.1)


@pytest.fixture
def server(program: Path, tmp_path: Path) -> Iterator[Server]:
    started = Server(program, tmp_path)
    yield started
    started.stop()


@pytest.fixture
def name_server() -> Iterator[int]:
    """A name server on loopback that answers every question with ANSWER; its port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.settimeout(0.2)
        stop = threading.Event()

        def serve() -> None:
            while not stop.is_set():
                with contextlib.suppress(TimeoutError):
                    asked, client = listener.recvfrom(512)
                    record = b"\xc0\x0c" + struct.pack("!2HIH", 1, 1, 60, 4) + socket.inet_aton(ANSWER)
                    end = asked.index(b"\0", 12) + 5
                    header = asked[:2] + struct.pack("!5H", 0x8180, 1, 1, 0, 0)
                    listener.sendto(header + asked[12:end] + record, client)

        thread = threading.Thread(target=serve)
        thread.start()
        yield int(listener.getsockname()[1])
        stop.set()
        thread.join()


def test_ready_without_a_name_server(server: Server) -> None:
    wait(server.is_ready, server)
    begun = time.monotonic()
    assert server.code("example.org") == SERVFAIL
    assert time.monotonic() - begun < 1


def test_a_name_server_that_comes_later_is_used(server: Server, name_server: int) -> None:
    wait(server.is_ready, server)
    assert server.code("example.org") == SERVFAIL
    lines = (
        f"forward . 127.0.0.1:{name_server} {{\n    policy sequential\n    max_concurrent 1000\n}}\nloop\n"
    )
    (server.upstream / "upstream.conf").write_text(lines)
    wait(lambda: server.code("example.org") == 0, server)
    (server.upstream / "upstream.conf").write_text("")
    wait(lambda: server.code("example.net") == SERVFAIL, server)


def test_it_stops_when_told(server: Server) -> None:
    wait(server.is_ready, server)
    server.process.terminate()
    assert server.process.wait(5) == 0
