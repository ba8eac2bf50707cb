"""Files of elsewhere: what decides is the SHA-256, wherever they come from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks import downloads
from tasks.lib.config import Download, load_config
from tasks.lib.engine import Build
from tasks.lib.errors import BuildError
from tasks.lib.net import cache, pinned
from tasks.lib.target import Pinned
from tests.unit import mirror_server as server
from tests.unit.mirror_server import Mirror
from tests.unit.targets import TARGET

CONTENT = b"a release" * 10_000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
PATH = "/it.tar.gz"


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv(pinned.OFFLINE_VARIABLE, raising=False)


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    with server.serve() as running:
        running.files[PATH] = CONTENT
        yield running


def fetch(url: str, sha256: str = SHA256) -> Path:
    return pinned.fetch("it", url, sha256, lambda text: None)


def test_over_http_and_then_from_the_cache(mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    assert fetch(mirror.address + PATH).read_bytes() == CONTENT
    mirror.files.clear()
    monkeypatch.setenv(pinned.OFFLINE_VARIABLE, "1")
    assert fetch(mirror.address + PATH).read_bytes() == CONTENT


def test_from_a_folder(tmp_path: Path) -> None:
    source = tmp_path / "with space.iso"
    source.write_bytes(CONTENT)
    assert fetch(source.as_uri()).read_bytes() == CONTENT


def test_a_damaged_one_in_the_cache_is_fetched_again(tmp_path: Path) -> None:
    (tmp_path / "it").write_bytes(CONTENT)
    url = (tmp_path / "it").as_uri()
    held = fetch(url)
    held.chmod(0o600)
    held.write_bytes(b"other")
    cache.verified.clear()
    assert fetch(url).read_bytes() == CONTENT


def test_another_file_is_refused_and_not_kept(tmp_path: Path, mirror: Mirror) -> None:
    source = tmp_path / "it"
    source.write_bytes(b"another")
    mirror.files[PATH] = b"another"
    with pytest.raises(BuildError, match=rf"downloads\.it: .*it has SHA-256 .*versions\.toml says {SHA256}"):
        fetch(source.as_uri())
    with pytest.raises(BuildError, match=f"expected SHA-256 {SHA256}"):
        fetch(mirror.address + PATH)
    assert cache.lookup(SHA256, None) is None


def test_what_is_not_there_is_named(tmp_path: Path, mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    for url, words in (
        ((tmp_path / "gone").as_uri(), "gone is not there"),
        (tmp_path.as_uri(), "can not be read: Is a directory"),
        (f"{mirror.address}/gone", "the server answered 404"),
        ("http://127.0.0.1:9/it", "does not answer: ConnectionError"),
    ):
        with pytest.raises(BuildError, match=words) as caught:
            fetch(url)
        assert "versions.toml" in caught.value.hint
    monkeypatch.setenv(pinned.OFFLINE_VARIABLE, "1")
    with pytest.raises(BuildError, match="the network is not to be used"):
        fetch(mirror.address + PATH)


def test_the_task_records_what_it_fetched(tmp_path: Path) -> None:
    (tmp_path / "it").write_bytes(CONTENT)
    wanted = Pinned("it", "1.0", (tmp_path / "it").as_uri(), SHA256, "MIT")
    [task] = downloads.tasks([wanted])
    assert task["basename"] == f"sources-it-{SHA256[:12]}"
    downloads.build_record(wanted, Build([tmp_path / "out.json"], tmp_path))
    assert SHA256 in (tmp_path / "out.json").read_text()


def test_placeholders_and_a_missing_digest() -> None:
    row = Download("1.2", "https://example.com/v{version}/{arch}.tar.gz", amd64=SHA256)
    target = TARGET.variant("x", downloads={"it": row})
    assert target.pinned("it").url == "https://example.com/v1.2/amd64.tar.gz"
    assert target.has_pinned("it")
    assert not target.has_pinned("other")
    for name in ("other", "it"):
        with pytest.raises(BuildError, match=rf"versions\.toml: downloads\.{name}\.amd64: is missing"):
            TARGET.variant("x", downloads={"it": Download("1.2", "https://example.com/")}).pinned(name)


def test_versions_toml_names_what_the_providers_are_made_of() -> None:
    assert {"kubesolo", "tinycore"} <= load_config().downloads.keys()
