"""GRUB's environment block, against GRUB's own program."""

from pathlib import Path

import pytest

from agent.grubenv import SIZE, GrubenvError, create, parse, read, render, update, write
from tasks.lib.debian import tools
from tasks.lib.process import run

STATE = {"active_slot": "A", "boot_counter": "3", "boot_success": "0"}


def editenv(path: Path, *words: str) -> str:
    return run([*tools.command("grub-editenv", set="boot"), path, *words]).stdout.decode()


def test_grub_reads_what_is_written_here(tmp_path: Path) -> None:
    create(tmp_path / "grubenv", STATE)
    assert (tmp_path / "grubenv").stat().st_size == SIZE
    assert (tmp_path / "grubenv").stat().st_blocks > 0
    assert editenv(tmp_path / "grubenv", "list").splitlines() == [f"{k}={v}" for k, v in STATE.items()]


def test_what_grub_writes_is_read_here(tmp_path: Path) -> None:
    path = tmp_path / "grubenv"
    editenv(path, "create")
    assert read(path) == {}
    editenv(path, "set", "active_slot=B", r"odd=a\b c", "boot_counter=2")
    assert read(path) == {"active_slot": "B", "odd": r"a\b c", "boot_counter": "2"}
    listed = editenv(path, "list")
    write(path, read(path))
    assert editenv(path, "list") == listed


def test_an_update_is_made_in_place(tmp_path: Path) -> None:
    path = tmp_path / "grubenv"
    create(path, STATE)
    inode = path.stat().st_ino
    assert update(path, {"boot_counter": "2", "reason": "no\\ne\nat all"})["active_slot"] == "A"
    assert path.stat().st_ino == inode
    assert read(path) == {**STATE, "boot_counter": "2", "reason": "no\\ne\nat all"}


@pytest.mark.parametrize(
    ("block", "words"),
    [
        (b"", "has 0 bytes"),
        (render(STATE)[:512], "has 512 bytes"),
        (render(STATE) + b"#", "has 1025 bytes"),
        (b"\0" * SIZE, "signature"),
    ],
)
def test_a_damaged_block_is_refused(tmp_path: Path, block: bytes, words: str) -> None:
    path = tmp_path / "grubenv"
    path.write_bytes(block)
    with pytest.raises(GrubenvError, match=words):
        read(path)
    if len(block) != SIZE:
        with pytest.raises(GrubenvError, match="bytes instead of"):
            write(path, STATE)
        assert path.read_bytes() == block


def test_a_torn_block_has_all_of_the_old_or_of_the_new_state() -> None:
    old, new = render(STATE), render({**STATE, "boot_counter": "2"})
    assert parse(new[:512] + old[512:]) == {**STATE, "boot_counter": "2"}
    assert parse(old[:512] + new[512:]) == STATE
    assert parse(new[:512] + b"\0" * 512) == {**STATE, "boot_counter": "2"}


def test_a_line_without_its_end_does_not_count() -> None:
    assert parse(b"# GRUB Environment Block\nwhole=1\nhalf=".ljust(SIZE, b"#")) == {"whole": "1"}


def test_what_does_not_fit_or_has_no_name_is_refused() -> None:
    with pytest.raises(GrubenvError, match="do not fit"):
        render({"much": "x" * 500})
    for name in ("", "a b", "a=b", "ä"):
        with pytest.raises(GrubenvError, match="no name"):
            render({name: "1"})
