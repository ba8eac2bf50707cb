"""Downloads over HTTP: from several addresses, bounded in attempts, checked against size and SHA-256."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import requests

from tasks.lib.errors import BuildError
from tasks.lib.net import transfer
from tasks.lib.net.transfer import (
    CutError,
    Policy,
    RefusedError,
    Stop,
    Transfer,
    Wanted,
    WrongContentError,
)

MAX_REDIRECTS = 8


class GoneError(BuildError):
    """Every address answered that the file does not exist (any more)."""


def download(
    wanted: Wanted,
    addresses: Sequence[str],
    target: Path,
    *,
    session: requests.Session,
    progress: Callable[[int], None] = lambda count: None,
    stop: Stop | None = None,
    policy: Policy | None = None,
) -> None:
    """Write the file at `target`, from the first address that has it; what is there already is resumed.

    progress: told how many bytes came in addition; negative when bytes proved useless.
    Raises GoneError when no address has it, BuildError with one reason an address otherwise.
    What was received stays at `target` to be resumed, except when it is wrong.
    """
    reasons, gone = [], True
    for address in addresses:
        try:
            patience = policy or transfer.PATIENCE
            one_address(Transfer(wanted, address, target, session, progress, stop or Stop(), patience))
            return
        except RefusedError as refusal:
            reasons.append(f"{address}: {refusal}")
            gone = gone and refusal.gone
    kind = GoneError if gone and reasons else BuildError
    raise kind(f"{wanted.name}: can not be downloaded: " + "; ".join(reasons), hint(reasons))


def hint(reasons: Iterable[str]) -> str:
    """What to do, by the reasons."""
    if any("HTML page" in reason for reason in reasons):
        return "is there a login page between you and the mirror? Or name another mirror: KUBESOLO_MIRROR"
    return "check the network, or name another mirror: KUBESOLO_MIRROR"


def one_address(wire: Transfer) -> None:
    """Attempts at one address, with growing pauses; an attempt that brought bytes is not one in vain."""
    policy = wire.policy
    in_vain, pause, from_start = 0, policy.pause, wire.have() == 0
    for _ in range(policy.limit):
        before = wire.have()
        try:
            wire.attempt()
            wire.check()
            return
        except WrongContentError as wrong:
            # What was resumed may have been another file's beginning: once more, from the first byte.
            if from_start:
                raise RefusedError(str(wrong)) from wrong
            from_start = True
        except CutError as cut:
            in_vain = 0 if wire.have() > before else in_vain + 1
            if in_vain >= policy.attempts:
                raise RefusedError(str(cut)) from cut
            wire.wait(pause)
            pause = min(pause * 2, 8 * policy.pause) if in_vain else policy.pause
    raise RefusedError(f"the connection was cut {policy.limit} times")


def new_session(proxies: dict[str, str] | None = None) -> requests.Session:
    """A session with this builder's limits, one a thread.

    proxies: in the form of requests, used where the environment names none.
    """
    session = requests.Session()
    session.max_redirects = MAX_REDIRECTS
    session.headers["User-Agent"] = "kubesolo-os-builder"
    session.proxies.update(proxies or {})
    session.verify = authorities()
    return session


def authorities() -> str | bool:
    """The host's certificate authorities, which may know its own mirror; True (requests' own) without any."""
    found = ssl.get_default_verify_paths()  # honours SSL_CERT_FILE and SSL_CERT_DIR
    if found.cafile:
        return found.cafile
    if found.capath and any(Path(found.capath).iterdir()):
        return found.capath
    return True
