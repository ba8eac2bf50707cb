"""A mirror on 127.0.0.1 that misbehaves as it is told."""

from __future__ import annotations

import re
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Behaviour = Callable[["Answer", bytes], None]


class Answer(BaseHTTPRequestHandler):
    """One request; `mirror` is set by serve()."""

    mirror: Mirror

    def do_GET(self) -> None:
        mirror = self.mirror
        mirror.requests.append((self.path, self.headers.get("Range", "")))
        content = mirror.files.get(self.path)
        script = mirror.scripts.get(self.path, [])
        behaviour = script.pop(0) if len(script) > 1 else script[0] if script else good
        if content is None and not script:
            self.send_error(404)
            return
        behaviour(self, content or b"")

    def do_HEAD(self) -> None:
        content = self.mirror.files.get(self.path)
        if content is None:
            self.send_error(404)
        else:
            self.head(200, len(content))

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass

    def head(self, status: int, length: int, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def start(self) -> int:
        found = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        return int(found[1]) if found else 0


def good(answer: Answer, content: bytes) -> None:
    """As a mirror should: ranges are honoured."""
    start = answer.start()
    if start >= len(content) > 0:
        answer.send_error(416)
    elif start:
        place = f"bytes {start}-{len(content) - 1}/{len(content)}"
        answer.head(206, len(content) - start, Content_Range=place)
        answer.wfile.write(content[start:])
    else:
        answer.head(200, len(content))
        answer.wfile.write(content)


def no_range(answer: Answer, content: bytes) -> None:
    answer.head(200, len(content))
    answer.wfile.write(content)


def wrong_place(answer: Answer, content: bytes) -> None:
    """A partial answer that starts elsewhere than asked."""
    answer.head(206, len(content), Content_Range=f"bytes 0-{len(content) - 1}/{len(content)}")
    answer.wfile.write(content)


def cut(percent: int) -> Behaviour:
    """The connection is reset after so much of the body; what follows is asked for with a range."""

    def behave(answer: Answer, content: bytes) -> None:
        start = answer.start()
        end = max(start, len(content) * percent // 100)
        if start:
            place = f"bytes {start}-{len(content) - 1}/{len(content)}"
            answer.head(206, len(content) - start, Content_Range=place)
        else:
            answer.head(200, len(content))
        answer.wfile.write(content[start:end])
        answer.wfile.flush()
        answer.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        answer.connection.close()

    return behave


def closed_early(answer: Answer, content: bytes) -> None:
    """The connection ends in good order in the middle."""
    answer.head(200, len(content))
    answer.wfile.write(content[: len(content) // 2])


def stalled(answer: Answer, content: bytes) -> None:
    """Half comes, then nothing."""
    answer.head(200, len(content))
    answer.wfile.write(content[: len(content) // 2])
    answer.wfile.flush()
    answer.mirror.ended.wait(20)


def trickling(answer: Answer, content: bytes) -> None:
    """A byte now and then."""
    answer.head(200, len(content))
    for byte in content:
        if answer.mirror.ended.wait(0.05):
            return
        answer.wfile.write(bytes([byte]))
        answer.wfile.flush()


def page(answer: Answer, content: bytes) -> None:
    """A login page instead of the file."""
    body = b"<!DOCTYPE html><html><body>Please sign in</body></html>"
    answer.head(200, len(body), Content_Type="text/html; charset=utf-8")
    answer.wfile.write(body)


def page_in_disguise(answer: Answer, content: bytes) -> None:
    """A page of the right length that is declared as a package."""
    body = b"\n<html><body>Error</body></html>".ljust(len(content))
    answer.head(200, len(body), Content_Type="application/vnd.debian.binary-package")
    answer.wfile.write(body)


def endless(answer: Answer, content: bytes) -> None:
    """More than was announced anywhere."""
    answer.send_response(200)
    answer.end_headers()
    answer.wfile.write(content + content)


def status(code: int) -> Behaviour:
    return lambda answer, content: answer.send_error(code)


def redirect(target: str) -> Behaviour:
    return lambda answer, content: answer.head(302, 0, Location=target)


def other(body: bytes) -> Behaviour:
    return lambda answer, content: good(answer, body)


@dataclass
class Mirror:
    """files: path → content. scripts: path → behaviours in turn, the last one for the rest."""

    address: str
    files: dict[str, bytes] = field(default_factory=dict)
    scripts: dict[str, list[Behaviour]] = field(default_factory=dict)
    requests: list[tuple[str, str]] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)


@contextmanager
def serve() -> Iterator[Mirror]:
    """Run a mirror."""

    class ThisAnswer(Answer):
        pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), ThisAnswer)
    server.daemon_threads = True
    mirror = ThisAnswer.mirror = Mirror(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield mirror
    finally:
        mirror.ended.set()
        server.shutdown()
        thread.join()
        server.server_close()
