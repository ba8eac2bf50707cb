"""Squashfs, FAT and GRUB images: what is in them, and that nothing of the host is."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tasks.lib.arch import AMD64
from tasks.lib.boot import grub
from tasks.lib.boot.grubmenu import grub_early_cfg
from tasks.lib.debian import tools
from tasks.lib.errors import BuildError
from tasks.lib.formats import fat, squashfs
from tasks.lib.formats.squashfs import Compression
from tasks.lib.formats.tree import Tree
from tasks.lib.process import run

EPOCH = 1_700_000_000
QUICK = Compression("zstd", 128, level=3)


def sample() -> Tree:
    tree = Tree()
    tree.add_file("EFI/BOOT/BOOTX64.EFI", b"MZ" + bytes(range(256)) * 2000, 0o755)
    tree.add_file("EFI/BOOT/readme.txt", "a text")
    return tree


@contextmanager
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Another umask and time zone, and a later time."""
    old = os.umask(0o077)
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Pacific/Auckland")
        time.tzset()
        time.sleep(2.1)  # FAT counts in steps of two seconds
        yield
    time.tzset()
    os.umask(old)


def scratch(out: Path) -> Path:
    folder = out.with_suffix(".scratch")
    folder.mkdir()
    return folder


def write_squashfs(out: Path) -> None:
    squashfs.write(sample(), out, EPOCH, QUICK, scratch(out))


def write_fat(out: Path) -> None:
    fat.write(sample(), out, EPOCH, 0x1234ABCD, "KSOLOEFI", scratch(out))


def write_grub(out: Path) -> None:
    grub.write_image(out, grub_early_cfg(), AMD64, scratch(out))


@pytest.mark.parametrize("write", [write_squashfs, write_fat, write_grub])
def test_same_bytes_in_another_place_umask_and_time_zone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[[Path], None]
) -> None:
    write(tmp_path / "a.img")
    (tmp_path / "other").mkdir()
    with elsewhere(monkeypatch):
        write(tmp_path / "other" / "b.img")
    assert (tmp_path / "a.img").read_bytes() == (tmp_path / "other" / "b.img").read_bytes()


@pytest.mark.parametrize("compression", [Compression("zstd", 1024, level=3), Compression("xz", 128)])
def test_squashfs_holds_modes_owners_times_and_content(tmp_path: Path, compression: Compression) -> None:
    tree = sample()
    tree.add_file("bin/su", b"x", 0o4755)
    tree.add_dir("tmp", 0o1777)
    tree.add_symlink("sbin", "bin")
    tree.add_device("dev/null", "char", 1, 3, 0o666)
    out = tmp_path / "a.squashfs"
    squashfs.write(tree, out, EPOCH, compression, scratch(out))
    listing = run([*tools.command("unsquashfs"), "-lln", "-UTC", out]).stdout.decode()
    rows = {line.split(" squashfs-root")[1]: line for line in listing.splitlines() if "squashfs-root" in line}
    assert rows[""].startswith("drwxr-xr-x 0/0")
    assert rows["/bin/su"].startswith("-rwsr-xr-x 0/0")
    assert rows["/tmp"].startswith("drwxrwxrwt 0/0")
    assert rows["/dev/null"].startswith("crw-rw-rw- 0/0")
    assert "/sbin -> bin" in rows
    assert all("2023-11-14 22:13" in row for row in rows.values())
    content = run([*tools.command("unsquashfs"), "-cat", out, "EFI/BOOT/readme.txt"]).stdout
    assert content == b"a text"


def test_a_failing_sqfstar_is_shown(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="exit status 3"):
        squashfs.write(sample(), tmp_path / "a", EPOCH, QUICK, tmp_path, ["sh", "-c", "exit 3"])
    assert not (tmp_path / "a").exists()


def test_fat_holds_the_files(tmp_path: Path) -> None:
    out = tmp_path / "efi.img"
    write_fat(out)
    listing = run([*tools.command("mtools"), "-c", "mdir", "-/", "-b", "-i", out]).stdout.decode()
    assert listing.split() == ["::/EFI/", "::/EFI/BOOT/", "::/EFI/BOOT/BOOTX64.EFI", "::/EFI/BOOT/readme.txt"]
    run([*tools.command("mtools"), "-c", "mcopy", "-i", out, "::/EFI/BOOT/BOOTX64.EFI", tmp_path / "back"])
    assert (tmp_path / "back").read_bytes() == sample()["EFI/BOOT/BOOTX64.EFI"].read()
    run([*tools.command("fsck.fat"), "-n", out])


def test_fat_grows_with_its_files(tmp_path: Path) -> None:
    tree = Tree()
    tree.add_file("big", bytes(6_000_000))
    fat.write(tree, tmp_path / "efi.img", EPOCH, 1, "BIG", tmp_path)
    run([*tools.command("fsck.fat"), "-n", tmp_path / "efi.img"])


def test_grub_is_an_efi_program_with_our_configuration(tmp_path: Path) -> None:
    write_grub(tmp_path / "a.efi")
    data = (tmp_path / "a.efi").read_bytes()
    assert data.startswith(b"MZ")
    assert b"--label KUBESOLO" in data


def test_squashfs_keeps_owners_and_attributes(tmp_path: Path) -> None:
    tree = Tree()
    tree.add_file("etc/shadow", b"x", 0o640)
    tree.own("etc/shadow", 0, 42, {"user.note": "kept"})
    squashfs.write(tree, tmp_path / "a.squashfs", EPOCH, QUICK, tmp_path)
    words: list[str | Path] = [*tools.command("unsquashfs"), "-lln", tmp_path / "a.squashfs"]
    assert "0/42" in next(line for line in run(words).stdout.decode().splitlines() if "shadow" in line)
    pseudo: list[str | Path] = [*tools.command("unsquashfs"), "-pf", "-", tmp_path / "a.squashfs"]
    assert b"user.note" in run(pseudo).stdout
