"""A file of elsewhere, by its SHA-256: from the cache, else from a folder (file://) or over HTTP."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from tasks.lib.errors import BuildError
from tasks.lib.net import cache

if TYPE_CHECKING:
    import requests

OFFLINE_VARIABLE = "KUBESOLO_OFFLINE"
CONNECT_SECONDS = 30
CORRECT = "correct its url in versions.toml"


def fetch(name: str, url: str, sha256: str, note: Callable[[str], None], section: str = "downloads") -> Path:
    """The path in the cache of the file with this SHA-256, which is `name` in a section of versions.toml.

    Raises BuildError when it can not be had, or is another file.
    """
    if found := cache.lookup(sha256, None):
        return found
    return cache.fill(sha256, None, partial(bring, f"{section}.{name}", url, sha256), note)


def bring(key: str, url: str, sha256: str, target: Path) -> None:
    """Write the file at `target`."""
    if url.startswith("file://"):
        copy(key, Path(unquote(urlsplit(url).path)), sha256, target)
    elif os.environ.get(OFFLINE_VARIABLE, "") not in {"", "0"}:
        raise BuildError(
            f"{key}: {url} is not in the cache, and the network is not to be used",
            f"run once without --offline and {OFFLINE_VARIABLE}, or name a file:// address",
        )
    else:
        download(key, url, sha256, target)


def copy(key: str, source: Path, sha256: str, target: Path) -> None:
    """From a file of this machine."""
    try:
        stream = source.open("rb")
    except OSError as error:
        what = (
            "is not there" if isinstance(error, FileNotFoundError) else f"can not be read: {error.strerror}"
        )
        raise BuildError(f"{key}: {source} {what}", CORRECT) from error
    with stream, target.open("wb") as out:
        shutil.copyfileobj(stream, out, cache.CHUNK)
    found = cache.file_digest(target)
    if found != sha256:
        target.unlink()
        raise BuildError(
            f"{key}: {source} has SHA-256 {found}, versions.toml says {sha256}",
            "it is another file: fetch it again, or correct versions.toml if you trust this one",
        )


def download(key: str, url: str, sha256: str, target: Path) -> None:
    """Over HTTP, resumed where an attempt before ended."""
    from tasks.lib.net import download as http  # requests is slow to import, unused by a no-op build
    from tasks.lib.net.transfer import Wanted

    session = http.new_session()
    wanted = Wanted(key, length(key, url, session), sha256)
    try:
        http.download(wanted, [url], target, session=session)
    except BuildError as error:
        raise BuildError(error.what, f"check the network, and {key} in versions.toml") from error


def length(key: str, url: str, session: requests.Session) -> int:
    """How many bytes the server says that it has; whether they are the right ones, only the digest says."""
    import requests

    headers = {"Accept-Encoding": "identity"}
    try:
        # GET too: addresses that are signed for one method are what releases are redirected to.
        for method in ("HEAD", "GET"):
            with session.request(
                method, url, stream=True, timeout=CONNECT_SECONDS, headers=headers, allow_redirects=True
            ) as answer:
                status, size = answer.status_code, answer.headers.get("Content-Length", "")
            if status == 200 and size.isdigit():
                return int(size)
    except (requests.RequestException, ValueError) as error:
        raise BuildError(
            f"{key}: {url} does not answer: {type(error).__name__}",
            "check the network, or name a file:// address in versions.toml",
        ) from error
    what = "no length" if status == 200 else f"{status}"
    raise BuildError(f"{key}: {url}: the server answered {what}", CORRECT)
