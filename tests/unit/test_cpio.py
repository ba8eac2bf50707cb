import gzip
import io
import tempfile
from pathlib import Path

import pytest
from libarchive.entry import ArchiveEntry
from libarchive.read import memory_reader

from tasks.lib.debian import tools
from tasks.lib.errors import BuildError
from tasks.lib.formats import cpio
from tasks.lib.formats.entry import Slice
from tasks.lib.formats.tree import Tree
from tasks.lib.process import run


def sample() -> Tree:
    tree = Tree()
    tree.add_file("init", "#!/bin/sh\n", 0o755)
    tree.add_dir("tmp", 0o1777)
    tree.add_symlink("bin/sh", "busybox")
    tree.add_file("bin/busybox", b"\x7fELF1", 0o755)
    tree.add_device("dev/console", "char", 5, 1, 0o600)
    return tree


def read(member: ArchiveEntry) -> bytes:
    return b"".join(member.get_blocks())


def packed(tree: Tree) -> bytes:
    stream = io.BytesIO()
    cpio.write(tree, stream, 1_700_000_000)
    return stream.getvalue()


def test_libarchive_reads_back_what_was_written() -> None:
    with memory_reader(packed(sample())) as archive:
        found = {
            entry.pathname: (
                oct(entry.mode),
                entry.uid,
                entry.mtime,
                b"".join(entry.get_blocks()),
                entry.linkpath,
            )
            for entry in archive
        }
    assert list(found) == ["bin", "bin/busybox", "bin/sh", "dev", "dev/console", "init", "tmp"]
    assert found["init"] == ("0o100755", 0, 1_700_000_000, b"#!/bin/sh\n", None)
    assert found["tmp"][0] == "0o41777"
    assert found["bin/sh"][4] == "busybox"
    assert found["dev/console"][0] == "0o20600"


def test_same_tree_same_bytes_in_whole_words() -> None:
    assert packed(sample()) == packed(sample())
    assert len(packed(sample())) % cpio.ALIGNMENT == 0


def test_slices_are_cut_to_their_size(tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(b"0123456789")
    tree = Tree()
    tree.add_file("x", Slice(tmp_path / "big", 2, 3))
    with memory_reader(packed(tree)) as archive:
        assert [read(member) for member in archive] == [b"234"]


def test_a_source_that_shrank_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(b"0123456789")
    tree = Tree()
    tree.add_file("x", Slice(tmp_path / "big", 8, 5))
    with pytest.raises(OSError, match="shorter"):
        packed(tree)


def test_segments_start_at_whole_words(tmp_path: Path) -> None:
    one = tmp_path / "one.gz"
    one.write_bytes(gzip.compress(packed(sample()), mtime=0) + b"x" * 0)
    two = tmp_path / "two"
    two.write_bytes(packed(sample()))
    cpio.concatenate([one, two], tmp_path / "both")
    data = (tmp_path / "both").read_bytes()
    start = data.index(cpio.MAGIC.encode())
    assert start % cpio.ALIGNMENT == 0
    assert start - one.stat().st_size < cpio.ALIGNMENT
    assert data[one.stat().st_size : start] == b"\0" * (start - one.stat().st_size)
    assert data[start:] == two.read_bytes()


def test_what_was_written_is_read_back_from_several_archives() -> None:
    """As an initramfs has them: behind each other, with zero bytes between."""
    other = Tree()
    other.add_file("etc/x", b"y")
    found = cpio.read(packed(sample()) + b"\0" * 8 + packed(other), "it")
    assert cpio.Member("init", 0o100755, b"#!/bin/sh\n", None) in found
    assert cpio.Member("bin/sh", 0o120777, b"busybox", None) in found
    assert cpio.Member("tmp", 0o41777, b"", None) in found
    assert found[-1] == cpio.Member("etc/x", 0o100644, b"y", None)


def test_what_the_cpio_program_writes_is_read_with_its_hard_links(tmp_path: Path) -> None:
    """Of hard links it writes the content once, behind the last name."""
    (tmp_path / "a").write_bytes(b"content")
    (tmp_path / "b").hardlink_to(tmp_path / "a")
    (tmp_path / "c").symlink_to("a")
    with tempfile.TemporaryFile() as names:
        names.write(b"./a\n./b\n./c\n")
        names.seek(0)
        data = run([*tools.command("cpio"), "-o", "-H", "newc", "--quiet"], stdin=names, cwd=tmp_path).stdout
    assert data.count(b"content") == 1
    assert {member.path: member.content for member in cpio.read(data, "it")} == {
        "a": b"content", "b": b"content", "c": b"a",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"x" * 200, "not a cpio archive at byte 0"),
        (packed(sample())[:120], "ends in the middle|not a cpio"),
        (packed(sample())[:-130], "not a cpio archive|ends in the middle"),
        (packed(sample()).replace(b"070701", b"07070X", 1), "not a cpio archive at byte 0"),
        (b"070701" + b"z" * 104, "damaged cpio header at byte 0"),
    ],
)
def test_damaged_archives_are_named(data: bytes, words: str) -> None:
    with pytest.raises(BuildError, match=words):
        cpio.read(data, "it")
