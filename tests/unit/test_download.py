"""Each way in which a download goes wrong."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
import urllib3

from tasks.lib.errors import BuildError
from tasks.lib.net.download import GoneError, download, new_session
from tasks.lib.net.transfer import Policy, Stop, StoppedError, Wanted
from tests.unit import mirror_server as server
from tests.unit.mirror_server import Behaviour, Mirror

CONTENT = os.urandom(300_000)
WANTED = Wanted("thing.deb", len(CONTENT), hashlib.sha256(CONTENT).hexdigest())
HASTE = Policy(connect=2, stall=0.3, attempts=3, limit=20, pause=0.01)
PATH = "/pool/thing.deb"


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    with server.serve() as running:
        running.files[PATH] = CONTENT
        yield running


def fetch(mirror: Mirror, target: Path, *behaviours: Behaviour, wanted: Wanted = WANTED) -> list[int]:
    """Download from a mirror that behaves like this; the numbers given to the progress callback."""
    counts: list[int] = []
    if behaviours:
        mirror.scripts[PATH] = list(behaviours)
    download(
        wanted, [mirror.address + PATH], target, session=new_session(), progress=counts.append, policy=HASTE
    )
    return counts


def test_a_good_mirror(mirror: Mirror, tmp_path: Path) -> None:
    counts = fetch(mirror, tmp_path / "it")
    assert (tmp_path / "it").read_bytes() == CONTENT
    assert sum(counts) == len(CONTENT)


@pytest.mark.parametrize("percent", [0, 50, 99])
def test_a_cut_connection_is_resumed(mirror: Mirror, tmp_path: Path, percent: int) -> None:
    counts = fetch(mirror, tmp_path / "it", server.cut(percent), server.good)
    assert (tmp_path / "it").read_bytes() == CONTENT
    assert sum(counts) == len(CONTENT)
    if percent:
        assert mirror.requests[-1][1].startswith("bytes=")


def test_a_connection_cut_often_is_resumed_each_time(mirror: Mirror, tmp_path: Path) -> None:
    fetch(mirror, tmp_path / "it", *(server.cut(percent) for percent in range(10, 100, 10)), server.good)
    assert (tmp_path / "it").read_bytes() == CONTENT
    assert len(mirror.requests) >= 10


@pytest.mark.parametrize(
    "behaviour", [server.cut(0), server.cut(50), server.closed_early, server.status(503)]
)
def test_attempts_are_bounded(mirror: Mirror, tmp_path: Path, behaviour: Behaviour) -> None:
    with pytest.raises(BuildError, match=r"thing\.deb: can not be downloaded: .*(cut|reset|503)"):
        fetch(mirror, tmp_path / "it", behaviour)
    assert len(mirror.requests) <= HASTE.limit


def test_what_another_run_left_is_resumed(mirror: Mirror, tmp_path: Path) -> None:
    (tmp_path / "it").write_bytes(CONTENT[:1234])
    fetch(mirror, tmp_path / "it")
    assert (tmp_path / "it").read_bytes() == CONTENT
    assert mirror.requests == [(PATH, "bytes=1234-")]


@pytest.mark.parametrize("left", [CONTENT, CONTENT + b"more", b"x" * len(CONTENT), b"x" * 1000])
def test_whatever_is_left_over_ends_well(mirror: Mirror, tmp_path: Path, left: bytes) -> None:
    (tmp_path / "it").write_bytes(left)
    counts = fetch(mirror, tmp_path / "it")
    assert (tmp_path / "it").read_bytes() == CONTENT
    assert len(left) + sum(counts) == len(CONTENT)


@pytest.mark.parametrize("behaviour", [server.no_range, server.wrong_place])
def test_a_server_that_can_not_resume(mirror: Mirror, tmp_path: Path, behaviour: Behaviour) -> None:
    fetch(mirror, tmp_path / "it", server.cut(50), behaviour, server.no_range)
    assert (tmp_path / "it").read_bytes() == CONTENT


def test_a_stalled_connection_is_given_up_and_resumed(mirror: Mirror, tmp_path: Path) -> None:
    started = time.monotonic()
    fetch(mirror, tmp_path / "it", server.stalled, server.good)
    assert (tmp_path / "it").read_bytes() == CONTENT
    assert time.monotonic() - started < 3


def test_a_mirror_that_always_stalls(mirror: Mirror, tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"nothing came for 0\.3 s"):
        fetch(mirror, tmp_path / "it", server.stalled)


def test_a_trickle_is_not_waited_for(mirror: Mirror, tmp_path: Path) -> None:
    fetch(mirror, tmp_path / "it", server.trickling, server.good)
    assert (tmp_path / "it").read_bytes() == CONTENT


def test_wrong_bytes_name_file_expected_and_found_and_leave_nothing(mirror: Mirror, tmp_path: Path) -> None:
    wrong = os.urandom(len(CONTENT))
    with pytest.raises(BuildError) as caught:
        fetch(mirror, tmp_path / "it", server.other(wrong))
    for part in ("thing.deb", WANTED.sha256, hashlib.sha256(wrong).hexdigest()):
        assert part in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "behaviour", [server.other(CONTENT[:-1]), server.other(CONTENT + b"x"), server.endless]
)
def test_a_wrong_size(mirror: Mirror, tmp_path: Path, behaviour: Behaviour) -> None:
    with pytest.raises(BuildError, match="wrong content"):
        fetch(mirror, tmp_path / "it", behaviour)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("behaviour", [server.page, server.page_in_disguise])
def test_an_html_page(mirror: Mirror, tmp_path: Path, behaviour: Behaviour) -> None:
    with pytest.raises(BuildError, match="the mirror answered with an HTML page") as caught:
        fetch(mirror, tmp_path / "it", behaviour)
    assert "login page" in caught.value.hint
    assert len(mirror.requests) == 1
    assert not (tmp_path / "it").exists() or not (tmp_path / "it").stat().st_size


def test_a_redirect_is_followed(mirror: Mirror, tmp_path: Path) -> None:
    mirror.files["/elsewhere"] = CONTENT
    fetch(mirror, tmp_path / "it", server.redirect("/elsewhere"))
    assert (tmp_path / "it").read_bytes() == CONTENT


def test_a_redirect_loop(mirror: Mirror, tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="redirects in a circle"):
        fetch(mirror, tmp_path / "it", server.redirect(PATH))
    assert len(mirror.requests) < 20


def test_busy_servers_are_asked_again(mirror: Mirror, tmp_path: Path) -> None:
    fetch(mirror, tmp_path / "it", server.status(503), server.status(429), server.good)
    assert (tmp_path / "it").read_bytes() == CONTENT


def test_a_missing_file_is_told_from_other_failures(mirror: Mirror, tmp_path: Path) -> None:
    def attempt(*addresses: str) -> None:
        download(WANTED, addresses, tmp_path / "it", session=new_session(), policy=HASTE)

    missing, forbidden = mirror.address + "/missing", mirror.address + "/forbidden"
    mirror.scripts["/forbidden"] = [server.status(403)]
    with pytest.raises(GoneError):
        attempt(missing, missing + "2")
    with pytest.raises(BuildError) as caught:
        attempt(missing, forbidden)
    assert not isinstance(caught.value, GoneError)
    attempt(missing, forbidden, mirror.address + PATH)
    assert (tmp_path / "it").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("http://127.0.0.1:9/x", "connection refused"),
        ("http://no-such-host.invalid/x", "the host name can not be resolved"),
        ("nonsense://x/", "is not an address"),
    ],
)
def test_no_network_is_one_clear_line(tmp_path: Path, address: str, words: str) -> None:
    with pytest.raises(BuildError, match=words) as caught:
        download(WANTED, [address], tmp_path / "it", session=new_session(), policy=HASTE)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_the_host_s_certificate_authorities_are_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    assert new_session().verify is True
    (tmp_path / "ca.pem").write_text("")
    assert new_session().verify == str(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    assert new_session().verify == str(tmp_path / "ca.pem")


def test_a_batch_that_ends_does_not_wait_for_stalled_servers(mirror: Mirror, tmp_path: Path) -> None:
    mirror.scripts[PATH] = [server.stalled]
    stop = Stop()
    threading.Timer(0.3, stop.set).start()
    started = time.monotonic()
    patient = Policy(connect=5, stall=30)
    with pytest.raises(StoppedError):
        download(
            WANTED, [mirror.address + PATH], tmp_path / "it", session=new_session(), stop=stop, policy=patient
        )
    assert time.monotonic() - started < 3


def test_a_stop_while_an_answer_ends_by_itself_is_no_error() -> None:
    """urllib3 refuses to shut down a connection that it has given back."""
    stop, answer = Stop(), requests.Response()
    answer.raw = urllib3.HTTPResponse(b"all of it", preload_content=False, sock_shutdown=lambda how: None)
    with stop.watching(answer):
        stop.set()
    with pytest.raises(StoppedError):
        stop.check()


class Closed:
    """The raw part of an answer whose connection is closed already, as urllib3 has it."""

    def shutdown(self) -> None:
        raise OSError(9, "Bad file descriptor")


def test_a_connection_that_is_closed_already_is_no_obstacle_to_stopping() -> None:
    stop, answer = Stop(), requests.Response()
    answer.raw = Closed()
    stop.live.add(answer)
    stop.set()
    assert stop.event.is_set()
