"""Downloads over HTTP: resumed, bounded in time and attempts, and checked against size and SHA-256."""

from __future__ import annotations

import hashlib
import re
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import requests
from urllib3.exceptions import HTTPError

from tasks.lib.errors import BuildError

CHUNK = 1 << 16
MAX_REDIRECTS = 8
RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})
GONE = frozenset({404, 410})
Progress = Callable[[int], None]


@dataclass(frozen=True)
class Policy:
    """How patient a download is: seconds to connect, seconds without a byte, attempts an address, first pause in s."""

    connect: float = 10.0
    stall: float = 30.0
    attempts: int = 4
    pause: float = 0.5


PATIENCE = Policy()


@dataclass(frozen=True)
class Wanted:
    """What is to be downloaded: a name for people, its size in bytes and its SHA-256 (hex)."""

    name: str
    size: int
    sha256: str


class RefusedError(Exception):
    """This address does not have it; another attempt would not help. gone: it is known not to exist there."""

    def __init__(self, why: str, gone: bool = False) -> None:
        super().__init__(why)
        self.gone = gone


class CutError(Exception):
    """This attempt was cut; the next one goes on from where it ended."""


class GoneError(BuildError):
    """Every address answered that the file does not exist (any more)."""


class StoppedError(BuildError):
    """Another download of the same batch failed."""


def download(
    wanted: Wanted,
    addresses: Sequence[str],
    target: Path,
    *,
    session: requests.Session,
    progress: Progress = lambda count: None,
    stop: threading.Event | None = None,
    policy: Policy = PATIENCE,
) -> None:
    """Write the file at `target`, from the first address that has it; what is there already is resumed.

    progress: told how many bytes came in addition; negative when bytes proved useless. stop: ends the download.
    Raises GoneError when no address has it, BuildError with one reason an address otherwise. What was received
    stays at `target` to be resumed, except when it is wrong.
    """
    reasons, gone = [], True
    for address in addresses:
        try:
            one_address(wanted, address, Transfer(wanted, target, session, progress, stop, policy))
            return
        except RefusedError as refusal:
            reasons.append(f"{address}: {refusal}")
            gone = gone and refusal.gone
    kind = GoneError if gone and reasons else BuildError
    raise kind(f"{wanted.name}: can not be downloaded: " + "; ".join(reasons), hint(reasons))


def hint(reasons: Iterable[str]) -> str:
    """What to do, by the reasons."""
    if any("HTML page" in reason for reason in reasons):
        return "is there a login page between you and the mirror? Try another mirror: KUBESOLO_MIRROR"
    return "check the network, or name another mirror: KUBESOLO_MIRROR"


def one_address(wanted: Wanted, address: str, transfer: Transfer) -> None:
    """Attempts at one address, with growing pauses; an attempt that brought bytes does not count."""
    failures, pause, fresh = 0, transfer.policy.pause, False
    while True:
        before = transfer.have()
        try:
            transfer.attempt(address)
            transfer.check()
            return
        except WrongContentError as wrong:
            # What was resumed may have been another version's beginning: once more from the first byte.
            if before == 0 or fresh:
                raise RefusedError(str(wrong)) from wrong
            fresh = True
        except CutError as cut:
            failures = 1 if transfer.have() > before else failures + 1
            if failures >= transfer.policy.attempts:
                raise RefusedError(str(cut)) from cut
            transfer.wait(pause)
            pause = min(pause * 2, 8 * transfer.policy.pause)


class WrongContentError(Exception):
    """All bytes came, and they are not the ones that were wanted."""


@dataclass
class Transfer:
    """One file on its way from one address."""

    wanted: Wanted
    target: Path
    session: requests.Session
    progress: Progress
    stop: threading.Event | None
    policy: Policy

    def have(self) -> int:
        """Bytes received so far."""
        return self.target.stat().st_size if self.target.exists() else 0

    def wait(self, seconds: float) -> None:
        """Pause, or end when the batch does."""
        if self.stop is None:
            time.sleep(seconds)
        elif self.stop.wait(seconds):
            raise StoppedError(f"{self.wanted.name}: download stopped")

    def discard(self) -> None:
        """Forget what was received."""
        self.progress(-self.have())
        self.target.unlink(missing_ok=True)

    def check(self) -> None:
        """Refuse content that is not the wanted one, and leave no file behind."""
        size = self.have()
        if size < self.wanted.size:
            raise CutError(f"the connection ended after {size} of {self.wanted.size} bytes")
        with self.target.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
        if found != self.wanted.sha256:
            self.discard()
            raise WrongContentError(f"wrong content: expected SHA-256 {self.wanted.sha256}, found {found}")

    def attempt(self, address: str) -> None:
        """One request; appends to the target."""
        have = self.have()
        if have > self.wanted.size:
            self.discard()
            have = 0
        if have == self.wanted.size:
            return
        headers = {"Accept-Encoding": "identity"}
        if have:
            headers["Range"] = f"bytes={have}-"
        try:
            with self.session.get(
                address, headers=headers, stream=True, timeout=(self.policy.connect, self.policy.stall)
            ) as response:
                self.receive(response, have)
        except requests.TooManyRedirects as error:
            raise RefusedError("redirects in a circle") from error
        except (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema) as error:
            raise RefusedError(f"is not an address: {error}") from error
        except (requests.RequestException, HTTPError) as error:
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
        """Whether a partial answer starts where we are and is of a file of the wanted size (RFC 9110, 14.4)."""
        found = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", response.headers.get("Content-Range", ""))
        return bool(found) and int(found[1]) == have > 0 and found[3] in {"*", str(self.wanted.size)}

    def write(self, response: requests.Response, have: int) -> None:
        """Append the body to the target; more than the wanted size is refused."""
        with self.target.open("ab") as stream:
            for block in response.iter_content(CHUNK):
                if self.stop is not None and self.stop.is_set():
                    raise StoppedError(f"{self.wanted.name}: download stopped")
                if have == 0 and re.match(rb"\s*<(!doctype html|html)", block[:64], re.IGNORECASE):
                    raise RefusedError("the mirror answered with an HTML page")
                have += len(block)
                if have > self.wanted.size:
                    break
                stream.write(block)
                self.progress(len(block))
        if have > self.wanted.size:
            self.discard()
            raise RefusedError(f"wrong content: more than the expected {self.wanted.size} bytes came")


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
        ("Connection reset", "the connection was reset"),
        ("IncompleteRead", "the connection was cut"),
        ("Connection aborted", "the connection was cut"),
        ("CERTIFICATE_VERIFY_FAILED", "the server's certificate is not trusted"),
    ):
        if sign in text:
            return words
    return f"{type(error).__name__}: {text}"


def new_session() -> requests.Session:
    """A session with this builder's limits; one a thread."""
    session = requests.Session()
    session.max_redirects = MAX_REDIRECTS
    session.headers["User-Agent"] = "kubesolo-os-builder"
    return session
