"""Tools trees: unpacked once, whole, and run through their own loader."""

from __future__ import annotations

import multiprocessing
import subprocess
from pathlib import Path

import pytest

from tasks.lib import process
from tasks.lib.arch import HOST
from tasks.lib.config import load_config
from tasks.lib.debian import debs, tools
from tasks.lib.debian.lockfile import write_text
from tasks.lib.debian.resolve import resolve
from tasks.lib.errors import BuildError
from tasks.lib.paths import cache_dir
from tests.unit.debian_archive import Archive


@pytest.fixture(autouse=True)
def _unseen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "checked", set())


def test_a_tree_is_made_once(locked: Archive) -> None:
    place = tools.tree("userland")
    assert place == cache_dir() / "tools" / tools.digest("userland")
    requests = len(locked.mirror.requests)
    assert tools.tree("userland") == place
    assert len(locked.mirror.requests) == requests
    assert [path.name for path in place.parent.iterdir()] == [place.name]


def test_absolute_links_stay_inside(locked: Archive) -> None:
    link = tools.tree("userland") / "usr/share/thing"
    assert link.readlink() == Path("../lib/thing")
    assert (link / "data").read_bytes() == b"data"


def test_a_script_runs(locked: Archive) -> None:
    assert process.run(tools.command("program", "userland")).stdout == b"1.0\n"


def test_a_program_that_is_missing(locked: Archive) -> None:
    with pytest.raises(BuildError, match="nothing: not in the package set userland") as caught:
        tools.command("nothing", "userland")
    assert "[packages.userland]" in caught.value.hint


def test_the_digest_follows_the_lock_and_downloads_nothing(locked: Archive, checkout: Path) -> None:
    before = len(locked.mirror.requests), tools.digest("userland"), tools.digest("kernel")
    assert before == (len(locked.mirror.requests), tools.digest("userland"), tools.digest("kernel"))
    locked.add("program", "2.0", depends="library")
    locked.publish()
    write_text(checkout / "versions.lock", resolve(load_config()).text())
    assert tools.digest("userland") != before[1]
    assert tools.digest("kernel") == before[2]


@pytest.mark.parametrize("damage", ["truncated", "removed", "mode", "added", "stamp"])
def test_a_damaged_tree_is_made_anew(locked: Archive, damage: str) -> None:
    place = tools.tree("userland")
    program = place / "usr/bin/program"
    if damage == "truncated":
        program.write_bytes(b"#!")
    elif damage == "removed":
        program.unlink()
    elif damage == "mode":
        program.chmod(0o644)
    elif damage == "added":
        (place / "usr/bin/more").write_text("")
    else:
        (place / tools.STAMP).unlink()
    tools.checked.clear()  # as in the next run
    assert tools.tree("userland") == place
    assert process.run(tools.command("program", "userland")).stdout == b"1.0\n"
    assert not (place / "usr/bin/more").exists()
    assert [path.name for path in place.parent.iterdir()] == [place.name]


def test_a_failure_while_unpacking_leaves_nothing(locked: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    real = debs.extract

    def fail(deb: Path, dest: Path) -> None:
        real(deb, dest)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(debs, "extract", fail)
    with pytest.raises(BuildError, match="No space left on device") as caught:
        tools.tree("userland")
    assert "make room" in caught.value.hint
    assert list((cache_dir() / "tools").iterdir()) == []


def test_what_a_killed_process_left_is_removed(locked: Archive) -> None:
    left = cache_dir() / "tools" / f".{tools.digest('userland')}.abc" / "usr"
    left.mkdir(parents=True)
    place = tools.tree("userland")
    assert [path.name for path in place.parent.iterdir()] == [place.name]


def test_several_processes_make_a_tree_once(locked: Archive) -> None:
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=tools.tree, args=("userland",)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(20)
        assert worker.exitcode == 0
    assert tools.intact(tools.location("userland"))
    assert sum("/pool/" in path for path, _ in locked.mirror.requests) == 2


PROGRAMS = [
    ("mksquashfs", "-version", "tools", "mksquashfs version 4.6"),
    ("sqfstar", "-version", "tools", "sqfstar version 4.6"),
    ("mke2fs", "-V", "tools", "mke2fs 1.47"),
    ("mtools", "--version", "tools", "mtools (GNU mtools) 4"),
    ("zstd", "--version", "tools", "v1.5"),
    ("depmod", "--version", "tools", "kmod version 3"),
    ("sgdisk", "--version", "tools", "sgdisk"),
    ("shellcheck", "--version", "tools", "ShellCheck"),
    ("busybox", "--help", "tools", "BusyBox v1.3"),
    ("grub-mkimage", "--version", "boot", "GRUB"),
    ("qemu-system-x86_64", "--version", "qemu", "QEMU emulator version 10."),
    ("qemu-img", "--version", "qemu", "qemu-img version 10."),
]


@pytest.mark.parametrize(("name", "option", "set_name", "words"), PROGRAMS, ids=[row[0] for row in PROGRAMS])
def test_the_project_s_own_tools_run(name: str, option: str, set_name: str, words: str) -> None:
    done = process.run([*tools.command(name, set_name), option])
    assert words in (done.stdout + done.stderr).decode()


@pytest.mark.parametrize("set_name", ["tools", "boot", "qemu"])
def test_no_library_of_the_host_is_used(set_name: str) -> None:
    root = tools.tree(set_name)
    folders = [root / name for name in (*tools.PROGRAM_FOLDERS, f"usr/lib/{HOST.triplet}/qemu")]
    files = [path for folder in folders if folder.is_dir() for path in folder.iterdir() if path.is_file()]
    elf = sorted(path for path in files if path.open("rb").read(4) == b"\x7fELF")
    dynamic = [path for path in elf if len(tools.start(path, path.name, root)) > 1 or path.suffix == ".so"]
    assert dynamic
    loader = [root / tools.LOADER, "--inhibit-cache", "--library-path", root / tools.LIBRARIES[0], "--list"]
    for path in dynamic:
        done = subprocess.run([*map(str, loader), str(path)], capture_output=True, text=True, check=False)
        found = [line.split("=>")[1] for line in done.stdout.splitlines() if "=>" in line]
        strangers = [place for place in found if str(root) not in place]
        assert (done.returncode, strangers) == (0, []), (path, done.stdout, done.stderr)
