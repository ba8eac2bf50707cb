"""One file on its way from one address: requests, resumption, and what may be wrong with an answer."""

from __future__ import annotations

import hashlib
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import requests
from urllib3.exceptions import HTTPError

from tasks.lib.errors import BuildError

CHUNK = 1 << 16
RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})
GONE = frozenset({404, 410})


@dataclass(frozen=True)
class Policy:
    """How patient a download is.

    connect: seconds for a connection. stall: seconds for the next byte, and over which `rate` is watched.
    rate: the fewest bytes a second. attempts: in vain, an address. limit: attempts in all, an address.
    pause: seconds before the second attempt; doubled up to eightfold.
    """

    connect: float = 10.0
    stall: float = 30.0
    rate: float = 500.0
    attempts: int = 4
    limit: int = 40
    pause: float = 0.5


PATIENCE = Policy()


@dataclass(frozen=True)
class Wanted:
    """What is to be downloaded: a name for people, its size in bytes and its SHA-256 (hex)."""

    name: str
    size: int
    sha256: str


class RefusedError(Exception):
    """This address does not have it and would not later. gone: it is known not to exist there."""

    def __init__(self, why: str, gone: bool = False) -> None:
        super().__init__(why)
        self.gone = gone


class CutError(Exception):
    """This attempt was cut; the next one goes on from where it ended."""


class WrongContentError(Exception):
    """All bytes came, and they are not the ones that were wanted."""


class StoppedError(BuildError):
    """Another download of the same batch failed, or the user ended it."""


class Stop:
    """Ends the downloads of a batch, also those that wait for bytes."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self.guard = threading.Lock()
        self.live: set[requests.Response] = set()

    def set(self) -> None:
        """End them."""
        self.event.set()
        with self.guard:
            for response in self.live:
                # Its last byte has come: its connection is free again, or closed.
                with suppress(RuntimeError, OSError):
                    response.raw.shutdown()

    def check(self) -> None:
        """Raise StoppedError when they have been ended."""
        if self.event.is_set():
            raise StoppedError("download stopped")

    @contextmanager
    def watching(self, response: requests.Response) -> Iterator[None]:
        """Have this answer cut when the batch ends."""
        with self.guard:
            self.live.add(response)
        try:
            yield
        finally:
            with self.guard:
                self.live.discard(response)


@dataclass
class Transfer:
    """One file on its way from one address to `target`."""

    wanted: Wanted
    address: str
    target: Path
    session: requests.Session
    progress: Callable[[int], None]
    stop: Stop
    policy: Policy
    window: tuple[float, int] = field(default=(0.0, 0), init=False)

    def have(self) -> int:
        """Bytes received so far."""
        return self.target.stat().st_size if self.target.exists() else 0

    def wait(self, seconds: float) -> None:
        """Pause, or end when the batch does."""
        self.stop.event.wait(seconds)
        self.stop.check()

    def discard(self) -> None:
        """Forget what was received."""
        self.progress(-self.have())
        self.target.unlink(missing_ok=True)

    def check(self) -> None:
        """Refuse content that is not the wanted one, and leave no file behind."""
        size = self.have()
        if size < self.wanted.size:
            raise CutError(f"the connection was cut after {size} of {self.wanted.size} bytes")
        with self.target.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
        if found != self.wanted.sha256:
            self.discard()
            raise WrongContentError(f"wrong content: expected SHA-256 {self.wanted.sha256}, found {found}")

    def attempt(self) -> None:
        """One request; appends to the target."""
        if self.have() > self.wanted.size:
            self.discard()
        have = self.have()
        if have == self.wanted.size:
            return
        # Compressed on the way, the bytes would not be those that were hashed, nor could they be resumed.
        headers = {"Accept-Encoding": "identity"}
        if have:
            headers["Range"] = f"bytes={have}-"
        timeouts = (self.policy.connect, self.policy.stall)
        try:
            with (
                self.session.get(self.address, headers=headers, stream=True, timeout=timeouts) as response,
                self.stop.watching(response),
            ):
                self.receive(response, have)
        except requests.TooManyRedirects as error:
            raise RefusedError("redirects in a circle") from error
        except ValueError as error:
            raise RefusedError(f"is not an address: {error}") from error
        except (requests.RequestException, HTTPError) as error:
            self.wait(0)
            raise CutError(reason(error, self.policy)) from error

    def receive(self, response: requests.Response, have: int) -> None:
        """Check the answer's head, then write its body."""
        status = response.status_code
        if status in RETRIED:
            raise CutError(f"the server answered {status} {response.reason}")
        if status == 416:
            self.discard()
            raise CutError("the server refused to resume")
        if status not in {200, 206}:
            raise RefusedError(f"the server answered {status} {response.reason}", gone=status in GONE)
        if response.headers.get("Content-Type", "").startswith("text/html"):
            raise RefusedError("the mirror answered with an HTML page")
        if status == 206 and not self.continues(response, have):
            self.discard()
            raise CutError("the server resumed at the wrong place")
        if status == 200:
            self.discard()
            have = 0
            length = response.headers.get("Content-Length", "")
            if length.isdigit() and int(length) != self.wanted.size:
                raise RefusedError(
                    f"wrong content: expected {self.wanted.size} bytes, the server has {length}"
                )
        self.write(response, have)

    def continues(self, response: requests.Response, have: int) -> bool:
        """Whether a partial answer starts where we are, in a file of the wanted size (RFC 9110, 14.4)."""
        found = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", response.headers.get("Content-Range", ""))
        return found is not None and int(found[1]) == have > 0 and found[3] in {"*", str(self.wanted.size)}

    def write(self, response: requests.Response, have: int) -> None:
        """Append the body to the target; more than the wanted size is refused."""
        self.window = (time.monotonic(), 0)
        with self.target.open("ab") as stream:
            while block := response.raw.read1(CHUNK):
                self.wait(0)
                if have == 0 and re.match(rb"\s*<(!doctype html|html)", block[:64], re.IGNORECASE):
                    raise RefusedError("the mirror answered with an HTML page")
                have += len(block)
                if have > self.wanted.size:
                    break
                stream.write(block)
                self.progress(len(block))
                self.watch_rate(len(block))
        if have > self.wanted.size:
            self.discard()
            raise RefusedError(f"wrong content: more than the expected {self.wanted.size} bytes came")

    def watch_rate(self, count: int) -> None:
        """Cut a connection that only trickles."""
        since, received = self.window
        self.window = (since, received + count)
        seconds = time.monotonic() - since
        if seconds >= self.policy.stall:
            if self.window[1] < self.policy.rate * seconds:
                raise CutError(f"less than {self.policy.rate:g} bytes a second came")
            self.window = (time.monotonic(), 0)


def reason(error: Exception, policy: Policy) -> str:
    """A failure of the transport in a few words."""
    text = str(error)
    if isinstance(error, requests.ConnectTimeout):
        return f"no connection within {policy.connect:g} s"
    if isinstance(error, requests.Timeout) or "Read timed out" in text:
        return f"nothing came for {policy.stall:g} s"
    for sign, words in (
        ("NameResolutionError", "the host name can not be resolved"),
        ("Connection refused", "connection refused"),
        ("Network is unreachable", "the network is unreachable"),
        ("Too many open files", "too many open files: ulimit -n 4096"),
        ("Connection reset", "the connection was reset"),
        ("IncompleteRead", "the connection was cut"),
        ("Connection aborted", "the connection was cut"),
        ("CERTIFICATE_VERIFY_FAILED", "the server's certificate is not trusted"),
    ):
        if sign in text:
            return words
    return f"{type(error).__name__}: {text}"
