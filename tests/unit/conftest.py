"""What the unit tests share: a mirror, a signed archive on it, and a checkout's folders that are empty."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.lib import config
from tasks.lib.debian import drift, lockfile, tools
from tasks.lib.debian.resolve import resolve
from tests.unit import mirror_server
from tests.unit.debian_archive import Archive
from tests.unit.mirror_server import Mirror

VERSIONS = """
[os]
version = "0.1.0"
epoch = 1795219200
[debian]
suite = "trixie"
drift = "allow"
[packages.userland]
names = ["program"]
[packages.kernel]
names = ["kernel"]
depends = "same-source"
[packages.lone]
names = ["program"]
depends = "none"
"""


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    with mirror_server.serve() as running:
        yield running


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folders of their own for sources: cache, versions.toml, versions.lock, build, output."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("KUBESOLO_OFFLINE", raising=False)
    monkeypatch.setattr(config, "CONFIG", tmp_path / "versions.toml")
    monkeypatch.setattr(lockfile, "LOCK", tmp_path / "versions.lock")
    monkeypatch.setattr(drift, "STATE", tmp_path / "build" / "drift" / "packages.lock")
    monkeypatch.setattr(drift, "REPORT", tmp_path / "output" / "drift" / "report.json")
    (tmp_path / "versions.toml").write_text(VERSIONS)
    return tmp_path


@pytest.fixture(scope="session")
def rsop() -> list[str]:
    """The program that signs; of the session, so that it is found before a test moves the cache."""
    return tools.command("rsop", set="tests")


@pytest.fixture(scope="session")
def first_archive(rsop: list[str], tmp_path_factory: pytest.TempPathFactory) -> Archive:
    """A signed archive with a program, its library and a kernel; on no server yet."""
    made = Archive.new(Mirror(""), rsop, tmp_path_factory.mktemp("archive"))
    library = {"usr/lib/thing/data": b"data", "usr/share/thing": b"->/usr/lib/thing"}
    made.add("program", "1.0", depends="library (>= 1)", files={"usr/bin/program": b"#!/bin/sh\necho 1.0\n"})
    made.add("library", "1.0")
    made.add("library", "1.1", suite="trixie-security", files=library)
    made.add("kernel", "6.1", depends="kernel-6.1, library", source="linux")
    made.add("kernel-6.1", "6.1", source="linux (6.1+1)")
    made.publish()
    return made


@pytest.fixture
def archive(first_archive: Archive, mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> Archive:
    """The signed archive on a mirror of its own, which the environment names."""
    made = first_archive.on(mirror)
    monkeypatch.setenv("KUBESOLO_MIRROR", f"{mirror.address}/debian")
    monkeypatch.setenv("KUBESOLO_KEYRING", str(made.keyring))
    return made


@pytest.fixture(scope="session")
def lock_texts() -> dict[str, str]:
    """versions.lock by versions.toml, as far as it has been resolved from the first archive."""
    return {}


@pytest.fixture
def locked(archive: Archive, checkout: Path, lock_texts: dict[str, str]) -> Archive:
    """An archive that versions.lock was resolved from."""
    if VERSIONS not in lock_texts:
        lock_texts[VERSIONS] = resolve(config.load_config()).text()
    (checkout / "versions.lock").write_text(lock_texts[VERSIONS])
    archive.mirror.requests.clear()
    return archive
