"""The kubeconfig is handed over once: real TLS, real clients, on the loopback address."""

from __future__ import annotations

import http.client
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent import handover
from agent.handover import Offer

TOKEN = "a-token-of-many-letters"
KUBECONFIG = "apiVersion: v1\nclusters:\n- cluster:\n    server: https://127.0.0.1:6443\nusers: []\n"


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate and its key."""
    folder = tmp_path_factory.mktemp("pki")
    words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    words += ["-keyout", "apiserver.key", "-out", "apiserver.crt", "-days", "2", "-subj", "/CN=test"]
    subprocess.run(
        [*words, "-addext", "subjectAltName=IP:127.0.0.1"], cwd=folder, check=True, capture_output=True
    )
    return folder


class Service:
    """The hand-over, in a thread."""

    def __init__(self, pki: Path, folder: Path, seconds: float = 30) -> None:
        self.pki = pki
        kubeconfig = folder / "admin.kubeconfig"
        kubeconfig.write_text(KUBECONFIG)
        self.offer = Offer(TOKEN, kubeconfig, "https://10.1.2.3:6443", folder / "used")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.result = ""
        self.thread = threading.Thread(target=self.run, args=(seconds,), daemon=True)
        self.thread.start()
        self.wait_open()

    def run(self, seconds: float) -> None:
        key = self.pki / "apiserver.key"
        self.result = handover.serve(self.offer, self.pki / "apiserver.crt", key, self.port, seconds)

    def wait_open(self) -> None:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                time.sleep(0.05)
            else:
                return
        raise AssertionError("it does not listen")

    def connect(self) -> http.client.HTTPSConnection:
        context = ssl.create_default_context(cafile=str(self.pki / "apiserver.crt"))
        return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=30, context=context)

    def get(self, token: str | None, path: str = "/kubeconfig") -> tuple[int, str]:
        connection = self.connect()
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        text = response.read().decode()
        connection.close()
        return response.status, text

    def ended(self) -> str:
        self.thread.join(30)
        assert not self.thread.is_alive()
        return self.result


@pytest.fixture
def service(pki: Path, tmp_path: Path) -> Iterator[Service]:
    running = Service(pki, tmp_path)
    yield running
    running.offer.tries = handover.TRIES


def test_the_right_token_gets_it_once(service: Service) -> None:
    status, text = service.get(TOKEN)
    assert status == 200
    assert "server: https://10.1.2.3:6443\n" in text
    assert service.ended() == "closed: it was fetched"
    assert handover.was_used(TOKEN, service.offer.used)
    assert not handover.was_used("another", service.offer.used)
    assert TOKEN not in service.offer.used.read_text()


def test_wrong_tokens_are_slowed_down(service: Service) -> None:
    assert service.get("wrong")[0] == 401
    assert service.get(TOKEN)[0] == 429, "a second has not gone by"
    time.sleep(handover.PAUSE)
    assert service.get(None)[0] == 401
    time.sleep(handover.PAUSE)
    assert service.get(TOKEN, "/")[0] == 404
    assert service.get(TOKEN)[0] == 200


def test_too_many_wrong_tokens_close_it(service: Service) -> None:
    service.offer.tries = handover.TRIES - 1
    assert service.get("wrong")[0] == 401
    assert service.ended() == "closed: too many wrong tokens"


def test_of_two_clients_at_once_one_gets_it(service: Service) -> None:
    found: list[int] = []

    def ask() -> None:
        try:
            found.append(service.get(TOKEN)[0])
        except OSError:
            found.append(0)  # it was closed meanwhile

    clients = [threading.Thread(target=ask) for _ in range(2)]
    for client in clients:
        client.start()
    for client in clients:
        client.join(60)
    assert found.count(200) == 1


def test_slow_clients_hold_up_nobody(service: Service) -> None:
    silent = [socket.create_connection(("127.0.0.1", service.port), 30) for _ in range(handover.CLIENTS - 1)]
    assert service.get(TOKEN)[0] == 200
    for connection in silent:
        connection.close()


def test_nobody_comes(pki: Path, tmp_path: Path) -> None:
    assert Service(pki, tmp_path, seconds=0.5).ended() == "closed: nobody has fetched it in time"


def test_a_client_that_breaks_off_leaves_it_to_the_next(pki: Path, tmp_path: Path) -> None:
    offer = Offer(TOKEN, tmp_path / "none", "", tmp_path / "used")
    assert offer.judge(f"Bearer {TOKEN}") == 200
    assert offer.judge(f"Bearer {TOKEN}") == 410
    offer.release()
    assert offer.judge(f"bearer {TOKEN}") == 200
