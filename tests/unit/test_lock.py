"""`./doit lock`: what the signed suite is asked for, and what becomes of the answers."""

from __future__ import annotations

import dataclasses
import json
import time
from pathlib import Path
from typing import Any

import pytest

from tasks.commands.lock import Plugin
from tasks.lib.config import load_config
from tasks.lib.debian import lockfile
from tasks.lib.debian.lockfile import Index, Lock, Package, difference, keyed, load_lock, overlaid, parse
from tasks.lib.debian.resolve import resolve
from tasks.lib.errors import BuildError
from tests.unit.debian_archive import Archive


def run(*arguments: str) -> int:
    plugin: Any = Plugin  # doit is not typed
    return int(plugin().parse_execute(list(arguments)))


def test_closure_versions_and_checksums(archive: Archive, checkout: Path) -> None:
    assert run() == 0
    lock = load_lock()
    assert lock.sets == {
        "kernel": ("kernel", "kernel-6.1"),
        "lone": ("program",),
        "userland": ("library", "program"),
    }
    library = lock.packages["library"]
    assert (library.version, library.archive) == ("1.1", "security")
    assert archive.mirror.files[f"/debian-security/{library.path}"]
    assert lock.packages["kernel-6.1"].source == "linux"
    assert [index.suite for index in lock.indexes] == ["trixie", "trixie-security", "trixie-updates"]


def test_twice_against_the_same_index_changes_nothing(
    archive: Archive, checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run() == 0
    before = lockfile.LOCK.read_bytes(), lockfile.LOCK.stat().st_mtime_ns
    capsys.readouterr()
    assert run() == 0
    assert (lockfile.LOCK.read_bytes(), lockfile.LOCK.stat().st_mtime_ns) == before
    assert "nothing changed" in capsys.readouterr().out


def test_another_cache_and_another_mirror_give_the_same_bytes(
    archive: Archive, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run()
    before = lockfile.LOCK.read_bytes()
    lockfile.LOCK.unlink()
    monkeypatch.setenv("XDG_CACHE_HOME", str(checkout / "other cache"))
    monkeypatch.setenv("KUBESOLO_MIRROR", f"http://127.0.0.1:9/debian {archive.mirror.address}/debian/")
    run()
    assert lockfile.LOCK.read_bytes() == before


def test_what_changed_is_said(archive: Archive, checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run()
    archive.add("program", "2.0", depends="library, addition")
    archive.add("addition", "0.1")
    archive.publish(date="Sun, 15 Nov 2026 08:00:00 UTC")
    before = lockfile.LOCK.read_bytes()
    capsys.readouterr()
    assert run("--check") == 1
    assert lockfile.LOCK.read_bytes() == before
    assert run() == 0
    said = capsys.readouterr().out
    for line in ("+ addition 0.1", "program 1.0 → 2.0", "set userland: + addition", "15 Nov 2026"):
        assert line in said
    assert run("--check") == 0


def test_a_mirror_that_went_back_in_time_is_warned_about(
    archive: Archive,
    checkout: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run()
    assert capsys.readouterr().err == ""
    archive.publish(date="Fri, 13 Nov 2026 08:00:00 UTC")
    # In the same cache, apt itself keeps to the newer index.
    run()
    assert "nothing changed" in capsys.readouterr().out
    monkeypatch.setenv("XDG_CACHE_HOME", str(checkout / "another"))
    run()
    assert (
        "WARNING: trixie: this mirror's index is older than the locked one of Sat, 14 Nov"
        in capsys.readouterr().err
    )


@pytest.mark.parametrize("fault", ["other key", "tampered", "unsigned", "index changed"])
def test_an_index_that_is_not_signed_by_the_archive_is_refused(
    archive: Archive, checkout: Path, fault: str
) -> None:
    files = archive.mirror.files
    release, packages = "/debian/dists/trixie/InRelease", "/debian/dists/trixie/main/binary-amd64/Packages"
    if fault == "other key":
        archive.publish(key=archive.rsop("generate-key", "--no-armor", "someone else"))
    elif fault == "tampered":
        files[release] = files[release].replace(b"Origin: Debian", b"Origin: Debiam")
    elif fault == "unsigned":
        del files[release]
        files["/debian/dists/trixie/Release"] = b"Origin: Debian\n"
    else:
        files[packages] = files[packages].replace(b"Version: 1.0", b"Version: 9.0")
    with pytest.raises(BuildError, match="no mirror has the signed suite"):
        run()
    assert not lockfile.LOCK.exists()


def test_a_package_that_does_not_exist(archive: Archive, checkout: Path) -> None:
    text = (checkout / "versions.toml").read_text()
    (checkout / "versions.toml").write_text(text.replace('names = ["program"]', 'names = ["programme"]'))
    with pytest.raises(BuildError, match="trixie can not provide programme: Unable to locate") as caught:
        run()
    assert "versions.toml" in caught.value.hint


def test_a_dependency_that_can_not_be_met(archive: Archive, checkout: Path) -> None:
    archive.add("program", "2.0", depends="nowhere")
    archive.publish()
    with pytest.raises(BuildError, match="can not provide program"):
        run()


def test_no_keyring(archive: Archive, checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBESOLO_KEYRING", "/nonexistent/keyring.gpg")
    with pytest.raises(BuildError, match=r"/nonexistent/keyring\.gpg: not found"):
        run()
    monkeypatch.delenv("KUBESOLO_KEYRING")
    monkeypatch.setattr("tasks.lib.debian.aptroot.KEYRINGS", ())
    with pytest.raises(BuildError, match="keyring of the Debian archive: not found") as caught:
        run()
    assert "apt-get install debian-archive-keyring" in caught.value.hint


def test_no_apt(archive: Archive, checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(checkout))
    with pytest.raises(BuildError, match="apt-get: not found"):
        run()


def test_no_network(archive: Archive, checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBESOLO_MIRROR", "http://127.0.0.1:9/debian")
    with pytest.raises(BuildError, match=r"no mirror has the signed suite: .*127\.0\.0\.1:9") as caught:
        run()
    assert "\n" not in str(caught.value)


def test_arguments_are_refused(checkout: Path) -> None:
    with pytest.raises(BuildError, match="takes no argument: iso"):
        run("iso")


def test_a_damaged_lock_is_replaced(archive: Archive, checkout: Path) -> None:
    lockfile.LOCK.write_text('{"format": 1,')
    assert run() == 0
    assert load_lock().suite == "trixie"


def package(name: str, version: str, source: str = "") -> Package:
    return Package(
        name, version, "amd64", source or name, "main", f"pool/{name}_{version}.deb", 10, version * 8
    )


def make(sets: dict[str, list[Package]]) -> Lock:
    packages = {member.name: member for members in sets.values() for member in members}
    names = {name: tuple(sorted(member.name for member in members)) for name, members in sets.items()}
    return Lock("trixie", "amd64", (Index("trixie", "main", "today", "0" * 64),), packages, names)


def test_the_text_is_read_back_and_differs_by_one_line_a_package() -> None:
    old = make({"a": [package("x", "1"), package("y", "1")], "b": [package("y", "1")], "empty": []})
    new = make({"a": [package("x", "2"), package("y", "1")], "b": [package("y", "1")], "empty": []})
    assert parse(old.text(), Path("lock")) == old
    pairs = zip(old.text().splitlines(), new.text().splitlines(), strict=True)
    assert sum(before != after for before, after in pairs) == 1


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "lock:1: is not valid"),
        ("[]", "is not a lock file"),
        ('{"format": 2}', "format 2"),
        (make({"a": []}).text().replace('"a": [\n', '"a": [ "ghost"\n'), "names ghost, which is not locked"),
        (make({"a": [package("x", "1")]}).text().replace('"size"', '"length"'), "is not a lock file"),
    ],
)
def test_a_damaged_lock_is_named(content: str, words: str) -> None:
    with pytest.raises(BuildError, match=words) as caught:
        parse(content, Path("lock"))
    assert "./doit lock" in caught.value.hint


def test_a_missing_lock_and_a_missing_set(checkout: Path) -> None:
    with pytest.raises(BuildError, match=r"versions\.lock: can not be read"):
        load_lock()
    with pytest.raises(BuildError, match="no package set tools"):
        make({}).members("tools")


def test_one_source_package_is_replaced_and_nothing_else() -> None:
    old = make({
        "kernel": [package("image", "1", "linux"), package("linux-image-1", "1", "linux"),
                   package("kmod", "1")],
        "other": [package("kmod", "1"), package("zlib", "1")],
    })  # fmt: skip
    newer = make({
        "kernel": [package("image", "2", "linux"), package("linux-image-2", "2", "linux"),
                   package("kmod", "2"), package("firmware", "5")],
        "other": [package("kmod", "2"), package("zlib", "2")],
    })  # fmt: skip
    result = overlaid(old, newer, "linux")
    assert result.sets["kernel"] == ("firmware", "image", "kmod", "linux-image-2")
    versions = {name: member.version for name, member in result.packages.items()}
    assert versions == {"image": "2", "linux-image-2": "2", "kmod": "1", "zlib": "1", "firmware": "5"}


def test_the_difference_in_words() -> None:
    old = make(
        {"a": [package("gone", "1"), package("same", "1"), package("up", "1"), package("rebuilt", "1")]}
    )
    rebuilt = dataclasses.replace(package("rebuilt", "1"), sha256="f" * 64)
    new = make({"a": [package("come", "1"), package("same", "1"), package("up", "2"), rebuilt]})
    assert difference(old, new) == [
        "+ come 1",
        "- gone 1",
        "rebuilt 1 → 1 (same version, other file)",
        "up 1 → 2",
        "set a: - gone",
        "set a: + come",
    ]


def test_the_project_s_own_lock_fits_its_versions_and_loads_at_once() -> None:
    config, lock = load_config(), load_lock()
    for arch in ("amd64", *config.debian.foreign):
        for name, wanted in config.packages.items():
            if arch == "amd64" or wanted.runs == "target":
                found = {lock.packages[key].name for key in lock.sets[keyed(name, arch)]}
                assert set(wanted.on(arch)) <= found, (name, arch)
    assert lock.suite == config.debian.suite
    assert parse(lock.text(), lockfile.LOCK) == lock
    assert lockfile.LOCK.read_text() == lock.text()
    assert "127.0.0.1" not in lock.text()
    assert json.loads(lock.text())["format"] == lockfile.FORMAT
    lockfile.read_lock.cache_clear()
    started = time.process_time()
    load_lock()
    assert time.process_time() - started < 0.2  # some ms of the processor, however busy the machine is


def test_resolving_does_not_touch_the_project(archive: Archive, checkout: Path) -> None:
    resolve(load_config())
    assert not lockfile.LOCK.exists()
