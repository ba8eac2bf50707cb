import hashlib
import io
import os
import tarfile
import time
from pathlib import Path

import pytest

from tasks.lib.errors import BuildError
from tasks.lib.formats.tree import Tree

EPOCH = 1_700_000_000


def digest(tree: Tree, path: Path) -> str:
    tree.write_tar(path, EPOCH)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def sample(folder: Path) -> Tree:
    tree = Tree()
    tree.add_folder(folder, "/etc/app")
    tree.add_symlink("bin", "usr/bin")
    tree.add_dir("usr/bin")
    tree.add_file("/bin/tool", b"#!/bin/sh\n", 0o4755)
    tree.add_device("dev/console", "char", 5, 1, 0o600)
    return tree


def make_folder(folder: Path) -> Path:
    (folder / "sub").mkdir(parents=True)
    (folder / "sub/one").write_text("1")
    (folder / "run.sh").write_text("#!/bin/sh\n")
    (folder / "run.sh").chmod(0o700)
    (folder / "link").symlink_to("sub/one")
    (folder / "empty").mkdir()
    return folder


def test_same_bytes_whatever_folder_umask_and_time_zone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = digest(sample(make_folder(tmp_path / "a")), tmp_path / "a.tar")
    old = os.umask(0o077)
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        other = make_folder(tmp_path / "elsewhere" / "b")
        os.utime(other / "sub/one", (1, 1))
        second = digest(sample(other), tmp_path / "b.tar")
    finally:
        os.umask(old)
        monkeypatch.undo()
        time.tzset()
    assert first == second


def test_tar_has_owner_mode_and_time_of_ours(tmp_path: Path) -> None:
    digest(sample(make_folder(tmp_path / "a")), tmp_path / "a.tar")
    with tarfile.open(tmp_path / "a.tar") as tar:
        members = {member.name: member for member in tar}
    assert list(members) == sorted(members)
    assert {(m.uid, m.gid, m.uname, m.gname, m.mtime) for m in members.values()} == {(0, 0, "", "", EPOCH)}
    assert members["usr/bin/tool"].mode == 0o4755
    assert members["etc/app/run.sh"].mode == 0o755
    assert members["etc/app/sub/one"].mode == 0o644
    assert members["etc/app/empty"].isdir()
    assert members["etc/app/link"].linkname == "sub/one"
    assert (members["dev/console"].devmajor, members["dev/console"].devminor) == (5, 1)


def test_tar_round_trip(tmp_path: Path) -> None:
    tree = sample(make_folder(tmp_path / "a"))
    first = digest(tree, tmp_path / "a.tar")
    again = Tree()
    again.add_tar(tmp_path / "a.tar")
    assert digest(again, tmp_path / "b.tar") == first
    assert again["usr/bin/tool"].read() == b"#!/bin/sh\n"


def test_tar_begins_with_folders_and_then_with_what_is_read_first(tmp_path: Path) -> None:
    tree, tar = Tree(), tmp_path / "tree.tar"
    for name in ("a/one", "b/two", "c/three"):
        tree.add_file(name, name)
    tree.write_tar(tar, 0, ["c/three", "b/two"])
    with tarfile.open(tar) as archive:
        assert archive.getnames() == ["a", "b", "c", "c/three", "b/two", "a/one"]
    with pytest.raises(BuildError, match="b/none"):
        tree.write_tar(tar, 0, ["b/none"])


def test_tar_with_hard_link_and_dot_prefix(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "in.tar", "w") as tar:
        header = tarfile.TarInfo("./usr/bin/a")
        header.size = 2
        header.mode = 0o755
        tar.addfile(header, io.BytesIO(b"hi"))
        link = tarfile.TarInfo("./usr/bin/b")
        link.type = tarfile.LNKTYPE
        link.linkname = "./usr/bin/a"
        tar.addfile(link)
    tree = Tree()
    tree.add_tar(tmp_path / "in.tar")
    assert tree["usr/bin/b"].read() == b"hi"
    assert tree["usr/bin/b"].mode == 0o755


def test_parents_follow_links_of_a_merged_usr() -> None:
    tree = Tree()
    tree.add_symlink("lib", "usr/lib")
    tree.add_file("lib/x/libc.so.6", b"")
    tree.add_dir("lib")
    assert "usr/lib/x/libc.so.6" in tree
    assert tree["lib"].kind == "symlink"
    assert tree.resolve("/lib/x/libc.so.6") == "usr/lib/x/libc.so.6"


def test_resolve_reports_missing_and_circular_links() -> None:
    tree = Tree()
    tree.add_symlink("a", "b")
    tree.add_symlink("b", "a")
    with pytest.raises(BuildError, match="circle"):
        tree.resolve("a")
    with pytest.raises(BuildError, match="not in the tree"):
        tree.resolve("nowhere")
    assert not tree.has("nowhere")


@pytest.mark.parametrize("path", ["../x", "a/../../x"])
def test_paths_can_not_leave_the_tree(path: str) -> None:
    with pytest.raises(BuildError, match="leaves the tree"):
        Tree().add_file(path, b"")


def test_a_file_does_not_replace_a_filled_folder() -> None:
    tree = Tree()
    tree.add_file("etc/hosts", b"")
    with pytest.raises(BuildError, match="not empty"):
        tree.add_file("etc", b"")
    with pytest.raises(BuildError, match="nothing can be put below"):
        tree.add_file("etc/hosts/x", b"")


def test_missing_source_and_broken_tar_are_named(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="gone"):
        Tree().add_file("x", tmp_path / "gone")
    (tmp_path / "bad.tar").write_bytes(b"<html>" * 200)
    with pytest.raises(BuildError, match=r"bad\.tar"):
        Tree().add_tar(tmp_path / "bad.tar")


def test_remove_takes_what_is_below() -> None:
    tree = Tree()
    tree.add_file("usr/share/doc/a", b"")
    tree.add_file("usr/share/docs", b"")
    tree.remove("usr/share/doc")
    assert list(tree) == ["usr", "usr/share", "usr/share/docs"]
    with pytest.raises(BuildError, match="can not be removed"):
        tree.remove("usr/share/doc")


def test_owners_and_attributes_go_through_a_tar(tmp_path: Path) -> None:
    tree = Tree()
    tree.add_file("usr/bin/ping", b"program", 0o755)
    tree.add_symlink("link", "usr/bin/ping")
    tree.own("usr/bin/ping", 0, 42, {"user.note": "kept", "user.a": "b"})
    tree.own("link", 7, 8)
    tree.write_tar(tmp_path / "a.tar", 0)
    back = Tree()
    back.add_tar(tmp_path / "a.tar")
    assert back["usr/bin/ping"].owner == (0, 42)
    assert back["usr/bin/ping"].xattrs == (("user.a", "b"), ("user.note", "kept"))
    assert back["link"].owner == (7, 8)
    assert back["usr"].owner == (0, 0)
    back.write_tar(tmp_path / "b.tar", 0)
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()
