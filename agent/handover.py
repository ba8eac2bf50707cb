"""Hands the administrator's kubeconfig to one who knows a token: once, over TLS, for a quarter of an hour.

    GET /kubeconfig HTTP/1.1
    Authorization: Bearer <token>

The server's certificate is the API server's, signed by the cluster's authority. Answers: 200 with the file;
401 for another token or none; 429 while the last wrong one is less than a second ago; 410 when it was
fetched; 404 for anything else. After TRIES wrong tokens it closes.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import socket
import ssl
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import TCPServer
from typing import Any

PORT = 8080
WRONG_USAGE = 2
SECONDS = 900.0
TRIES = 20
PAUSE = 1.0
# A client that says nothing for so long is left.
PATIENCE = 10.0
CLIENTS = 8
SERVER_LINE = re.compile(r"(?m)^(\s*server: ).*$")


@dataclass
class Offer:
    """What is handed over, and to whom.

    token: as text. kubeconfig: the file. server: the API's address, as clients outside reach it.
    used: a file that notes, by the token's SHA-256, that it was used.
    """

    token: str
    kubeconfig: Path
    server: str
    used: Path
    tries: int = 0
    refused_at: float = -PAUSE
    taken: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def judge(self, header: str | None) -> HTTPStatus:
        """What a request with this Authorization header is answered with; an OK reserves the file."""
        kind, _, given = (header or "").partition(" ")
        right = hmac.compare_digest(given.strip().encode(), self.token.encode()) and kind.lower() == "bearer"
        with self.lock:
            if self.taken:
                return HTTPStatus.GONE
            if time.monotonic() - self.refused_at < PAUSE:
                return HTTPStatus.TOO_MANY_REQUESTS
            if not right:
                self.tries += 1
                self.refused_at = time.monotonic()
                return HTTPStatus.UNAUTHORIZED
            self.taken = True
            return HTTPStatus.OK

    def content(self) -> bytes:
        """The kubeconfig with the address that it is used with."""
        return SERVER_LINE.sub(rf"\g<1>{self.server}", self.kubeconfig.read_text()).encode()

    def release(self) -> None:
        """The client has gone before it had all of it: the next one may ask."""
        with self.lock:
            self.taken = False

    def note_use(self) -> None:
        """From now on this token is refused, after a restart too."""
        self.used.parent.mkdir(parents=True, exist_ok=True)
        self.used.write_text(f"{digest(self.token)}\n")

    @property
    def over(self) -> bool:
        """Whether there is nothing more to offer."""
        return self.tries >= TRIES


def digest(token: str) -> str:
    """What is kept of a token that was used."""
    return hashlib.sha256(token.encode()).hexdigest()


def was_used(token: str, used: Path) -> bool:
    """Whether this token has done its service."""
    try:
        return used.read_text().strip() == digest(token)
    except OSError:
        return False


class Server(ThreadingHTTPServer):
    """Serves one offer; each client has a thread and a little time, and there are few at once."""

    daemon_threads = True
    allow_reuse_address = True
    # The kernel keeps those who wait.
    request_queue_size = 16

    def __init__(self, address: tuple[str, int], offer: Offer, context: ssl.SSLContext) -> None:
        self.offer = offer
        self.context = context
        self.places = threading.BoundedSemaphore(CLIENTS)
        self.done = threading.Event()
        super().__init__(address, Handler)

    def server_bind(self) -> None:
        """Without asking the network for the node's own name, as http.server does."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = "", self.server_address[1]

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 (as in the base)
        """Refuse a client when there are too many."""
        if not self.places.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
        """The handshake belongs to the client's own thread: a slow one holds up nobody."""
        connection: socket.socket = request
        try:
            connection.settimeout(PATIENCE)
            secured = self.context.wrap_socket(connection, server_side=True)
        except (OSError, ValueError):
            self.shutdown_request(request)
        else:
            super().process_request_thread(secured, client_address)
        finally:
            self.places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
        """A client that breaks off is nothing to report."""


class Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    server: Server
    timeout = PATIENCE
    protocol_version = "HTTP/1.0"

    def do_GET(self) -> None:
        """Hand over, or say why not."""
        offer = self.server.offer
        if self.path != "/kubeconfig":
            self.answer(HTTPStatus.NOT_FOUND, b"")
            return
        status = offer.judge(self.headers.get("Authorization"))
        if status != HTTPStatus.OK:
            self.answer(status, b"")
            if offer.over:
                self.server.done.set()
            return
        try:
            self.answer(status, offer.content())
        except OSError:
            offer.release()
            return
        offer.note_use()
        self.server.done.set()

    def answer(self, status: HTTPStatus, body: bytes) -> None:
        """Send status and body; raises OSError when the client does not take them."""
        self.send_response(status)
        self.send_header("Content-Type", "application/yaml")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()
        if status == HTTPStatus.OK:
            self.wait_for_end()

    def wait_for_end(self) -> None:
        """Only a client that closes its side in order has surely read what was sent; one that keeps it open
        for long is taken to have. Raises OSError when it has gone before that."""
        self.connection.shutdown(socket.SHUT_WR)
        with suppress(TimeoutError):
            self.connection.recv(1)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 (as in the base)
        """One line for each request, without headers: the token is not for logs."""
        print(f"{self.client_address[0]} {arguments[0] if arguments else ''}"[:200], flush=True)


def serve(offer: Offer, certificate: Path, key: Path, port: int, seconds: float = SECONDS) -> str:
    """Serve until it was fetched, too often asked for in vain, or the time is over; says which.

    Raises OSError when the port is taken or the certificate can not be read.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    with Server(("", port), offer, context) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.5}, daemon=True)
        thread.start()
        ended = server.done.wait(seconds)
        server.shutdown()
    if not ended:
        return "closed: nobody has fetched it in time"
    return "closed: too many wrong tokens" if offer.over else "closed: it was fetched"


def main(arguments: Sequence[str]) -> int:
    """Serve as the node's service does; prints what happens, returns the exit status."""
    options = dict(zip(arguments[::2], arguments[1::2], strict=False))
    if set(options) != {"--token-file", "--pki", "--server", "--used", "--say", "--how"}:
        sys.stderr.write(
            "usage: handover --token-file F --pki DIR --server URL --used F --say F --how TEXT\n"
        )
        return WRONG_USAGE
    token = Path(options["--token-file"]).read_text().strip()
    used, pki = Path(options["--used"]), Path(options["--pki"])
    if was_used(token, used):
        print("closed: this token has been used")
        return 0
    offer = Offer(token, pki / "admin" / "admin.kubeconfig", options["--server"], used)
    Path(options["--say"]).write_text(f"{options['--how']}\n")
    print(serve(offer, pki / "apiserver.crt", pki / "apiserver.key", PORT))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
