"""Servers as they should not be: whatever they do, the other slot holds the old version or the new one."""

from __future__ import annotations

import errno
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from agent.update import fetch, server, slot, source, state, trust
from agent.update.conf import Conf
from agent.update.errors import Refused, Unreachable, Unverified, UpdateError
from agent.update.keys import TEST_KEY
from tests.unit.update.machine import NEW, OLD, FakeNode
from tests.updates import bundle
from tests.updates.bundle import Bundle

Answer = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """Gives the files of a folder, but those that a test wants otherwise."""

    folder: ClassVar[Path]
    odd: ClassVar[dict[str, Answer]]
    asked: ClassVar[list[str]]
    protocol_version = "HTTP/1.0"

    def do_GET(self) -> None:
        type(self).asked.append(f"{self.path} {self.headers.get('Range', '')}".strip())
        name = self.path.rpartition("/")[2]
        for ending, answer in self.odd.items():
            if name == ending:
                answer(self)
                return
        path = self.folder / self.path.lstrip("/")
        if not path.is_file():
            self.send_error(404)
            return
        self.give(path.read_bytes())

    def give(self, data: bytes, length: int | None = None, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(data) if length is None else length))
        self.end_headers()
        self.wfile.write(data)

    def redirect(self, to: str) -> None:
        self.send_response(302)
        self.send_header("Location", to)
        self.end_headers()

    def log_message(self, format: str, *words: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def http(served: Bundle) -> Iterator[type[Handler]]:
    handler = type("Own", (Handler,), {"folder": served.top, "odd": {}, "asked": []})
    listener = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    handler.conf = Conf(server=f"http://127.0.0.1:{listener.server_port}")  # type: ignore[attr-defined]
    thread = threading.Thread(target=listener.serve_forever, daemon=True)
    thread.start()
    yield handler
    listener.shutdown()
    listener.server_close()


def fails(node: FakeNode, http: type[Handler], kind: type[UpdateError], words: str) -> None:
    with pytest.raises(kind, match=words):
        node.updater(http.conf).apply()  # type: ignore[attr-defined]
    assert node.content("A") == OLD
    kept = {name: data for name, data in node.content("B").items() if not name.endswith(slot.NEW)}
    assert kept == OLD, "the old version still stands by"
    assert node.environment() == {"active_slot": "A", "boot_counter": "3", "boot_success": "1"}


IMAGE = "overlay.squashfs"


def endless(handler: Handler) -> None:
    handler.send_response(200)
    handler.end_headers()
    try:
        for _ in range(10_000):
            handler.wfile.write(b"\0" * 65536)
    except OSError:
        pass


def cut_short(handler: Handler) -> None:
    handler.give(NEW[IMAGE][:1000], len(NEW[IMAGE]))


def test_an_endless_manifest(node: FakeNode, http: type[Handler]) -> None:
    http.odd["latest.json"] = endless
    fails(node, http, Unreachable, "is larger than 262144 bytes")


def test_an_endless_image_is_not_read_to_its_end(node: FakeNode, http: type[Handler]) -> None:
    http.odd[IMAGE] = endless
    fails(node, http, Unverified, "another SHA-256")
    assert fetch.size_of(slot.part(node.slot("B"), IMAGE)) <= len(NEW[IMAGE])


def test_an_image_that_always_ends_early(node: FakeNode, http: type[Handler]) -> None:
    http.odd[IMAGE] = cut_short
    fails(node, http, UpdateError, r"closed after|SHA-256")
    assert state.load(node.root).phase == "failed"


def test_an_image_of_no_length(node: FakeNode, http: type[Handler]) -> None:
    http.odd[IMAGE] = lambda handler: handler.give(b"")
    fails(node, http, Unreachable, "closed after 0 of")


def test_a_flipped_bit(node: FakeNode, http: type[Handler]) -> None:
    data = bytearray(NEW[IMAGE])
    data[1000] ^= 1
    http.odd[IMAGE] = lambda handler: handler.give(bytes(data))
    fails(node, http, Unverified, "has another SHA-256 than the manifest")


def test_a_server_that_fails_now_and_then(node: FakeNode, http: type[Handler]) -> None:
    left = [3]

    def now_and_then(handler: Handler) -> None:
        left[0] -= 1
        if left[0] >= 0:
            handler.send_error(503)
        else:
            handler.give(NEW[IMAGE])

    http.odd[IMAGE] = now_and_then
    assert node.updater(http.conf).apply()  # type: ignore[attr-defined]
    assert node.content("B") == NEW


@pytest.mark.parametrize(
    ("to", "words"),
    [
        ("file:///etc/passwd", "Redirection to url 'file:///etc/passwd' is not allowed"),
        ("ftp://127.0.0.1/x", "redirects to ftp:"),
        ("data:,x", "is not allowed"),
        ("/loop", "redirect"),
    ],
)
def test_redirects_to_elsewhere(node: FakeNode, http: type[Handler], to: str, words: str) -> None:
    http.odd["latest.json"] = lambda handler: handler.redirect(to)
    http.odd["loop"] = lambda handler: handler.redirect("/loop")
    fails(node, http, Unreachable, words)


def test_a_redirect_within_http_is_followed(node: FakeNode, http: type[Handler]) -> None:
    http.odd[IMAGE] = lambda handler: handler.redirect("/elsewhere")
    http.odd["elsewhere"] = lambda handler: handler.give(NEW[IMAGE])
    assert node.updater(http.conf).apply()  # type: ignore[attr-defined]


def test_a_slow_server_is_given_up(
    node: FakeNode, http: type[Handler], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "SLOW_SECONDS", 0.2)
    monkeypatch.setattr(source, "SLOWEST_BYTES_SECOND", 1 << 20)
    monkeypatch.setattr(fetch, "TRIES", 1)

    def slowly(handler: Handler) -> None:
        handler.send_response(200)
        handler.end_headers()
        for start in range(0, 100_000, 1000):
            try:
                handler.wfile.write(NEW[IMAGE][start : start + 1000])
            except OSError:
                return
            time.sleep(0.05)

    http.odd["latest.json.sig"] = slowly
    fails(node, http, Unreachable, "gives less than")
    http.odd[IMAGE] = http.odd.pop("latest.json.sig")
    fails(node, http, Unreachable, "gives less than")


def test_a_chunked_answer_that_is_cut(node: FakeNode, http: type[Handler]) -> None:
    def cut_chunk(handler: Handler) -> None:
        handler.protocol_version = "HTTP/1.1"
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        handler.wfile.write(b"1000\r\nabc")

    http.odd["latest.json"] = cut_chunk
    fails(node, http, Unreachable, r"latest\.json cannot be read")
    http.odd[IMAGE] = http.odd.pop("latest.json")
    fails(node, http, UpdateError, "IncompleteRead|SHA-256|closed")


def test_a_redirect_from_http_to_https_is_tried(node: FakeNode, http: type[Handler]) -> None:
    http.odd["latest.json"] = lambda handler: handler.redirect("https://127.0.0.1:1/latest.json")
    fails(node, http, Unreachable, "refused")


def test_a_silent_server_is_given_up(
    node: FakeNode, http: type[Handler], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "TIMEOUT_SECONDS", 0.2)
    http.odd["latest.json"] = lambda _: time.sleep(2)
    fails(node, http, Unreachable, "timed out")


def test_nobody_listens(node: FakeNode) -> None:
    with pytest.raises(Unreachable, match=r"refused"):
        node.updater(Conf(server="http://127.0.0.1:1")).check()


@pytest.mark.parametrize(
    ("changes", "kind", "words"),
    [
        ({"expires": "2020-01-01T00:00:00Z", "released": "2019-01-01T00:00:00Z"}, Refused, "has expired"),
        ({"released": "2099-01-01T00:00:00Z", "expires": "2100-01-01T00:00:00Z"}, Refused, "from the future"),
        ({"channel": "beta"}, Refused, "it is of channel beta, this node follows stable"),
        ({"architecture": "arm64"}, Refused, "it is for arm64, this node is amd64"),
        ({"board": "raspberry"}, Refused, "it is for board raspberry"),
        ({"version": "0.0.9"}, UpdateError, r"version 0\.0\.9 is offered, 0\.1\.0 runs"),
        ({"version": "0.1.0"}, UpdateError, r"version 0\.1\.0 runs already"),
    ],
)
def test_offers_that_are_not_for_this_node(
    node: FakeNode, served: Bundle, changes: dict[str, object], kind: type[UpdateError], words: str
) -> None:
    served.manifest = served.changed(**changes)
    served.write()
    with pytest.raises(kind, match=words):
        node.updater(Conf(folder=str(served.top))).apply()
    assert node.content("B") == OLD


def test_only_a_signed_manifest_says_that_nothing_is_new(node: FakeNode, served: Bundle) -> None:
    served.manifest = served.changed(version="0.1.0")
    served.write(signed_by="stranger")
    with pytest.raises(Unverified, match="not signed"):
        node.updater(Conf(folder=str(served.top))).check()
    served.manifest = served.changed(expires="2026-11-02T00:00:00Z")
    served.write()
    with pytest.raises(Refused, match="has expired"):
        node.updater(Conf(folder=str(served.top))).check()


def test_signatures_that_are_no_use(node: FakeNode, served: Bundle) -> None:
    data = (served.folder / "latest.json").read_bytes()
    agent = node.updater(Conf(folder=str(served.top)))
    for signature in (b"", b"\0" * 64, b"x" * 63, bundle.key("stranger").sign(data), b"00" * 64):
        served.put("latest", data, signature)
        with pytest.raises(Unverified, match=r"signature|not signed"):
            agent.apply()
    (served.folder / "latest.json.sig").unlink()
    with pytest.raises(Unreachable, match=r"latest\.json\.sig"):
        agent.apply()


def test_paths_lead_nowhere_else(node: FakeNode, served: Bundle, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(NEW[IMAGE])
    image = served.file(IMAGE)
    image.unlink()
    image.symlink_to(secret)
    with pytest.raises(Unreachable, match="leads out of the directory"):
        node.updater(Conf(folder=str(served.top))).apply()


def test_no_link_of_http_is_taken_for_a_file(node: FakeNode, http: type[Handler]) -> None:
    node.updater(http.conf).apply()  # type: ignore[attr-defined]
    assert all(row.startswith("/stable/amd64/") for row in http.asked)


def test_a_manifest_that_promises_too_much(node: FakeNode, served: Bundle) -> None:
    served.manifest["files"][IMAGE]["size"] = 1 << 33
    served.write()
    with pytest.raises(UpdateError, match="needs 9011 MB, slot B has 512 MB") as caught:
        node.updater(Conf(folder=str(served.top))).apply()
    assert caught.value.status == 7
    assert node.content("B") == OLD


def cut(data: bytes) -> tuple[bytes, str]:
    """A file's chunks of 1,000 bytes, as an index and its digest."""
    import hashlib

    pieces = [data[start : start + 1000] for start in range(0, len(data), 1000)]
    index = "".join(f"{hashlib.sha256(piece).hexdigest()} {len(piece)}\n" for piece in pieces).encode()
    return index, hashlib.sha256(index).hexdigest()


def with_chunks(served: Bundle, version: str, files: dict[str, bytes]) -> None:
    """Give each file of a version its index."""
    for name, data in files.items():
        index, sha256 = cut(data)
        path = f"{version}/{name}.chunks"
        (served.folder / path).write_bytes(index)
        served.manifest["files"][name]["chunks"] = {"path": path, "size": len(index), "sha256": sha256}
    served.write()


@pytest.fixture
def ranged(node: FakeNode, tmp_path: Path) -> Iterator[tuple[Bundle, Conf]]:
    """A real server with ranges, whose bundles have chunks; the node has one of its versions."""
    from tests.updates import servers

    made = Bundle(tmp_path / "ranged")
    made.add("0.1.0", OLD)
    with_chunks(made, "0.1.0", OLD)
    changed = {
        **OLD,
        "root.squashfs": OLD["root.squashfs"][:50_000] + b"!" * 3000 + OLD["root.squashfs"][50_000:],
    }
    made.add("0.2.0", changed)
    with_chunks(made, "0.2.0", changed)
    with servers.httpd(made.top) as port:
        yield made, Conf(server=f"http://127.0.0.1:{port}")


def test_chunks_that_are_here_are_not_fetched(node: FakeNode, ranged: tuple[Bundle, Conf]) -> None:
    made, conf = ranged
    assert node.updater(conf).apply()
    assert slot.verify(node.slot("B")) == "0.2.0"
    total = sum(row["size"] for row in made.manifest["files"].values())
    (line,) = [text for text in node.said if "were fetched" in text]
    assert line.startswith(f"0.0 of {total / 1e6:.1f} MB") or float(line.split()[0]) <= 0.06


def test_an_index_that_lies_is_not_used(node: FakeNode, ranged: tuple[Bundle, Conf]) -> None:
    made, conf = ranged
    path = made.folder / "0.2.0/root.squashfs.chunks"
    path.write_bytes(path.read_bytes().replace(b"1000", b"1001", 1))
    assert node.updater(conf).apply()
    assert slot.verify(node.slot("B")) == "0.2.0"


def test_chunks_of_a_damaged_file_of_the_slot_are_fetched(
    node: FakeNode, ranged: tuple[Bundle, Conf]
) -> None:
    _, conf = ranged
    for name in ("A", "B"):
        path = node.slot(name) / "root.squashfs"
        path.write_bytes(b"\0" * len(OLD["root.squashfs"]))
    assert node.updater(conf).apply()
    assert slot.verify(node.slot("B")) == "0.2.0"


def test_a_server_without_ranges_gives_whole_files(
    node: FakeNode, served: Bundle, http: type[Handler]
) -> None:
    with_chunks(served, "0.2.0", NEW)
    assert node.updater(http.conf).apply()  # type: ignore[attr-defined]
    assert node.content("B") == NEW
    assert json.loads((node.slot("B") / slot.LIST).read_text())["version"] == "0.2.0"


def short(descriptor: int, data: bytes, offset: int) -> int:
    """A kernel that takes a thousand bytes at a time."""
    return PWRITE(descriptor, bytes(data[:1000]), offset)


def failing(number: int) -> Callable[[int, bytes, int], int]:
    """A disk that gives this error, after some writes."""
    left = [3]

    def write(descriptor: int, data: bytes, offset: int) -> int:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(number, os.strerror(number))
        return short(descriptor, data, offset)

    return write


PWRITE = os.pwrite


def test_short_writes_are_finished(node: FakeNode, served: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "pwrite", short)
    assert node.updater(Conf(folder=str(served.top))).apply()
    assert node.content("B") == NEW


@pytest.mark.parametrize(("number", "status"), [(errno.ENOSPC, 7), (errno.EIO, 1)])
def test_a_disk_that_takes_no_more(
    node: FakeNode, served: Bundle, monkeypatch: pytest.MonkeyPatch, number: int, status: int
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", failing(number))
        with pytest.raises(UpdateError, match=os.strerror(number)) as caught:
            node.updater(Conf(folder=str(served.top))).apply()
    assert caught.value.status == status
    record = state.load(node.root)
    assert (record.phase, os.strerror(number) in record.error) == ("failed", True)
    assert node.content("A") == OLD
    assert node.updater(Conf(folder=str(served.top))).apply(), "the next one ends well"
    assert node.content("B") == NEW


def test_what_reads_back_differently_is_not_used(
    node: FakeNode, served: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rotten(descriptor: int, data: bytes, offset: int) -> int:
        return PWRITE(descriptor, bytes(data).replace(b"2", b"3"), offset)

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", rotten)
        with pytest.raises(Unverified, match="has another SHA-256"):
            node.updater(Conf(folder=str(served.top))).apply()
    assert node.starts("B")
    assert node.updater(Conf(folder=str(served.top))).apply()


def test_the_tests_key_counts_in_test_images_alone(node: FakeNode) -> None:
    assert TEST_KEY not in trust.trusted(node.root, TEST_KEY)
    assert TEST_KEY not in trust.trusted(node.root, TEST_KEY.upper())
    (node.root / trust.TEST_IMAGE).touch()
    assert TEST_KEY in trust.trusted(node.root, TEST_KEY)


def test_a_key_that_is_none_is_said(node: FakeNode) -> None:
    for pubkey in ("ab" * 31, "/etc/kubesolo/none.pub", "x" * 64):
        with pytest.raises(UpdateError, match="neither 64 hexadecimal digits nor a file"):
            trust.trusted(node.root, pubkey)
