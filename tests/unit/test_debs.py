"""Debian packages, read and unpacked."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from tasks.lib.debian import debs
from tasks.lib.errors import BuildError
from tests.unit.debian_archive import ar, deb, tar

CONTROL = "Package: thing\nVersion: 1\n"


@pytest.fixture
def thing(tmp_path: Path) -> Path:
    path = tmp_path / "thing.deb"
    files = {"usr/bin/thing": b"program" * 100_000, "usr/bin/alias": b"->thing", "etc/thing.conf": b"x = 1\n"}
    path.write_bytes(deb(CONTROL, files))
    return path


def test_entries(thing: Path) -> None:
    found = {member.path: (member, b"".join(member.content)) for member in debs.entries(thing)}
    assert sorted(found) == ["etc", "etc/thing.conf", "usr", "usr/bin", "usr/bin/alias", "usr/bin/thing"]
    program, content = found["usr/bin/thing"]
    assert (stat.S_IMODE(program.mode), program.size, content) == (0o755, 700_000, b"program" * 100_000)
    alias, _ = found["usr/bin/alias"]
    assert stat.S_ISLNK(alias.mode)
    assert (alias.link, alias.hardlink) == ("thing", False)
    assert stat.S_ISDIR(found["usr"][0].mode)


def test_content_that_is_not_read_is_skipped(thing: Path) -> None:
    assert len([member.path for member in debs.entries(thing)]) == 6


def test_extract(thing: Path, tmp_path: Path) -> None:
    debs.extract(thing, tmp_path / "root")
    program = tmp_path / "root/usr/bin/thing"
    assert program.read_bytes() == b"program" * 100_000
    assert stat.S_IMODE(program.stat().st_mode) == 0o755
    assert (tmp_path / "root/usr/bin/alias").readlink() == Path("thing")


def test_extract_over_what_is_there(thing: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "usr").mkdir(parents=True)
    (root / "usr/sbin").mkdir()
    (root / "usr/bin").symlink_to("sbin")  # a merged folder stays one
    (root / "etc").mkdir()
    (root / "etc/thing.conf").symlink_to("/nonexistent")
    debs.extract(thing, root)
    assert (root / "usr/sbin/thing").is_file()
    assert (root / "usr/bin").is_symlink()
    assert (root / "etc/thing.conf").read_text() == "x = 1\n"
    assert not (root / "etc/thing.conf").is_symlink()


def test_hard_links(tmp_path: Path) -> None:
    import io
    import tarfile

    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        first = tarfile.TarInfo("./usr/one")
        first.size, first.mode = 3, 0o644
        archive.addfile(first, io.BytesIO(b"abc"))
        second = tarfile.TarInfo("./usr/two")
        second.type, second.linkname = tarfile.LNKTYPE, "./usr/one"
        archive.addfile(second)
    path = tmp_path / "links.deb"
    members = {
        "debian-binary": b"2.0\n",
        "control.tar.xz": tar({"control": b""}),
        "data.tar": buffer.getvalue(),
    }
    path.write_bytes(ar(members))
    assert [(member.hardlink, member.link) for member in debs.entries(path)] == [
        (False, ""),
        (True, "usr/one"),
    ]
    debs.extract(path, tmp_path / "root")
    assert (tmp_path / "root/usr/two").read_bytes() == b"abc"
    assert (tmp_path / "root/usr/two").stat().st_nlink == 2


def test_control_files(thing: Path) -> None:
    assert debs.control_file(thing, "control") == CONTROL
    assert debs.control_file(thing, "postinst") == ""


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is not a Debian package"),
        (b"<html></html>", "is not a Debian package"),
        (ar({"debian-binary": b"2.0\n"}), r"it has no data\.tar"),
        (ar({"debian-binary": b"2.0\n", "data.tar.xz": b"nonsense"}), "is not a Debian package"),
        (deb(CONTROL, {"usr/x": b"y" * 10_000})[:-200], "is not a Debian package"),
        (deb(CONTROL, {"../../evil": b"x"}), "leaves the package"),
    ],
)
def test_what_is_not_a_package(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "thing.deb"
    path.write_bytes(content)
    with pytest.raises(BuildError, match=words):
        debs.extract(path, tmp_path / "root")
    assert not (tmp_path / "evil").exists()


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"none\.deb: can not be read"):
        list(debs.entries(tmp_path / "none.deb"))
