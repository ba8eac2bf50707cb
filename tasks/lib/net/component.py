"""Files that versions.toml names by address and SHA-256: a program, or an archive of some."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath

import requests

from tasks.lib.errors import BuildError
from tasks.lib.net import cache, download
from tasks.lib.net.transfer import PATIENCE, Wanted

OFFLINE = "KUBESOLO_OFFLINE"
ELF = b"\x7fELF"
CORRECT = "correct the component's url and sha256 in versions.toml"


def fetch(url: str, sha256: str, note: Callable[[str], None]) -> Path:
    """The path of the file in the cache, downloaded and checked when it is not there.

    Raises BuildError when it can not be had, or is another one.
    """
    path = cache.object_path(sha256)
    if path.exists() and (found := cache.lookup(sha256, path.stat().st_size)):
        return found
    if os.environ.get(OFFLINE, "") not in {"", "0"}:
        raise BuildError(
            f"{url} is not in the cache, and the network is not to be used", "run once without --offline"
        )
    session = download.new_session()
    wanted = Wanted(PurePosixPath(url).name, size_of(url, session), sha256)
    note(f"downloading {wanted.name} ({wanted.size / 1e6:.0f} MB)")

    def get(target: Path) -> None:
        download.download(wanted, [url], target, session=session)

    return cache.fill(sha256, wanted.size, get, note)


def size_of(url: str, session: requests.Session) -> int:
    """How long the file is, in bytes, by the server's word."""
    try:
        answer = session.head(url, allow_redirects=True, timeout=(PATIENCE.connect, PATIENCE.stall))
    except requests.RequestException as error:
        raise BuildError(
            f"{url}: can not be asked for: {error}", "check the network and the address"
        ) from error
    length = answer.headers.get("Content-Length", "")
    if answer.status_code != 200 or not length.isdigit():
        raise BuildError(f"{url}: the server answered {answer.status_code} {answer.reason}", CORRECT)
    return int(length)


def programs(path: Path, url: str, names: Iterable[str]) -> dict[str, bytes]:
    """The programs of these names that a file holds, wherever they are in it; a program has any name.

    A * among the names stands for all programs of an archive. Raises BuildError when one is missing.
    """
    wanted = list(names)
    data = path.read_bytes()
    if data.startswith(ELF):
        if len(wanted) > 1 or wanted == ["*"]:
            raise BuildError(f"{url}: is one program, wanted are {', '.join(wanted)}", CORRECT)
        return {wanted[0]: data}
    found = archived(data, url)
    if wanted == ["*"]:
        return found
    if missing := [name for name in wanted if name not in found]:
        raise BuildError(
            f"{url}: has no program {', '.join(missing)}; it has {', '.join(sorted(found)) or 'none'}",
            CORRECT,
        )
    return {name: found[name] for name in wanted}


def archived(data: bytes, url: str) -> dict[str, bytes]:
    """The programs (ELF) in a tar, compressed or not, by their names without folders."""
    try:
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            files = {
                PurePosixPath(member.name).name: tar.extractfile(member) for member in tar if member.isfile()
            }
            contents = {name: stream.read() for name, stream in files.items() if stream is not None}
    except (tarfile.TarError, OSError, EOFError) as error:
        raise BuildError(f"{url}: is neither a program nor a tar: {error}", CORRECT) from error
    return {name: content for name, content in contents.items() if content.startswith(ELF)}
