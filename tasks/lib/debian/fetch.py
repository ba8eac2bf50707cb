"""Locked packages as files: from the cache, else downloaded, else (drift) the suite's current version."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from tasks.lib.config import held_config
from tasks.lib.debian import drift
from tasks.lib.debian.lockfile import Lock, Package, load_lock
from tasks.lib.errors import BuildError
from tasks.lib.net import cache

if TYPE_CHECKING:
    import requests


OFFLINE_VARIABLE = "KUBESOLO_OFFLINE"
DOWNLOADS = 4
Progress = Callable[[float, float, str], None]
Note = Callable[[str], None]


class Connections(threading.local):
    """Each thread's HTTP session."""

    http: requests.Session | None = None


connections = Connections()


def say(text: str) -> None:
    """Tell the user, when no task does it."""
    print(text, file=sys.stderr, flush=True)


def current() -> Lock:
    """The lock in force: versions.lock, with what this checkout had to replace because it has vanished."""
    return drift.applied(load_lock())


def packages(set_name: str) -> list[Package]:
    """The packages of a set, by name.

    Raises BuildError when the lock does not have the set.
    """
    return current().members(set_name)


def fetch_set(
    set_name: str, progress: Progress | None = None, note: Note = say
) -> list[tuple[Package, Path]]:
    """The packages of a set and their .deb files, downloaded when they are not cached.

    A vanished package is replaced under drift = "allow"; what is returned is then the replacement.
    progress: told bytes done, bytes in all and "B". Raises BuildError.
    """
    while True:
        listed = packages(set_name)
        try:
            return list(zip(listed, fetch_all(listed, progress, note), strict=True))
        except drift.VanishedError as vanished:
            drift.replace(vanished.package, note)


def fetch(package: Package, progress: Progress | None = None, note: Note = say) -> Path:
    """The path of a package's .deb in the cache; see fetch_set for what follows when it has vanished.

    Raises BuildError, also when the replacement has another name (a kernel's): fetch_set finds that.
    """
    try:
        return fetch_all([package], progress, note)[0]
    except drift.VanishedError as vanished:
        drift.replace(vanished.package, note)
        newer = current().packages.get(package.key)
        if newer is None or newer == package:
            raise
        return fetch(newer, progress, note)


def fetch_all(wanted: Iterable[Package], progress: Progress | None = None, note: Note = say) -> list[Path]:
    """The .deb files of packages, in their order, several at a time.

    Raises drift.VanishedError naming the first package that no mirror has any more, BuildError for all else.
    """
    from concurrent.futures import ThreadPoolExecutor, as_completed  # slow to import, unused by a no-op build

    listed = list(wanted)
    batch = Batch(sum(package.size for package in listed), progress, note)
    with ThreadPoolExecutor(DOWNLOADS, "download") as pool:
        futures = [pool.submit(batch.fetch, package) for package in listed]
        try:
            for future in as_completed(futures):
                future.result()
        except BaseException as error:
            batch.stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
            if cache.is_full(error.__cause__):
                cache.discard_partials(package.sha256 for package in listed)
            raise
    return [future.result() for future in futures]


class Batch:
    """Packages that are fetched together: they share a progress display and end together."""

    def __init__(self, total: int, progress: Progress | None, note: Note) -> None:
        from tasks.lib.net.transfer import Stop  # see fetch_all

        self.total, self.progress, self.note = total, progress, note
        self.stop = Stop()
        self.guard = threading.Lock()
        self.received: dict[str, int] = {}

    def count(self, package: Package, more: int) -> None:
        """Bytes of a package have come, or (negative) proved useless."""
        with self.guard:
            self.received[package.sha256] = self.received.get(package.sha256, 0) + more
            if self.progress:
                self.progress(sum(self.received.values()), self.total, "B")

    def fetch(self, package: Package) -> Path:
        """One package's .deb."""
        path = cache.lookup(package.sha256, package.size) or self.fill(package)
        self.count(package, package.size - self.received.get(package.sha256, 0))
        return path

    def fill(self, package: Package) -> Path:
        """Have a missing package downloaded, by us or by a process that is at it already."""
        if os.environ.get(OFFLINE_VARIABLE, "") not in {"", "0"}:
            raise BuildError(
                f"{package.file} is not in the cache, and the network is not to be used",
                f"run once without --offline and {OFFLINE_VARIABLE}",
            )
        get = partial(self.download, package)
        return cache.fill(package.sha256, package.size, get, self.note, self.stop.check)

    def download(self, package: Package, target: Path) -> None:
        """Download one package to `target`."""
        from tasks.lib.net import download, transfer  # see fetch_all

        wanted = transfer.Wanted(package.file, package.size, package.sha256)
        count = partial(self.count, package)
        if target.exists():
            count(target.stat().st_size)
        try:
            download.download(
                wanted, addresses(package), target, session=session(), progress=count, stop=self.stop
            )
        except download.GoneError as error:
            raise drift.VanishedError(package, error) from error


def addresses(package: Package) -> list[str]:
    """Where a package may be found: the mirrors, then the configured snapshots."""
    from tasks.lib.debian.mirror import find_mirrors  # see fetch_all

    bases = [*find_mirrors().bases(package.archive), *held_config().debian.snapshots]
    return [f"{base.rstrip('/')}/{quote(package.path)}" for base in bases]


def session() -> requests.Session:
    """This thread's HTTP session."""
    from tasks.lib.debian.mirror import apt_proxies
    from tasks.lib.net import download  # see fetch_all

    if connections.http is None:
        connections.http = download.new_session(apt_proxies())
    return connections.http
