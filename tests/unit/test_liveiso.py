"""The Live CD's medium with small parts in place of the real ones; GRUB is the real one."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import pycdlib
import pytest

from tasks import liveinit, liveiso
from tasks.lib.arch import AMD64
from tasks.lib.boot import grubmenu, livemenu
from tasks.lib.debian import tools
from tasks.lib.engine import Build
from tasks.lib.formats.squashfs import Compression
from tasks.lib.formats.tree import Tree
from tasks.lib.process import run
from tests.unit.targets import EPOCH, VALUES

SECTOR = 512


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A folder with small parts."""
    (tmp_path / "vmlinuz").write_bytes(b"MZ kernel")
    (tmp_path / "k8s-live.gz").write_bytes(b"initramfs")
    (tmp_path / "live-base.squashfs").write_bytes(b"hsqs" * 1000)
    for name, recipe in (("cd.img", liveiso.build_cd), ("efi.img", liveiso.build_efi)):
        scratch = tmp_path / f"{name}.scratch"
        scratch.mkdir()
        recipe(AMD64, Build([tmp_path / name], scratch, values=VALUES))
    return tmp_path


def write(folder: Path, name: str) -> bytes:
    images = (("live-base.squashfs", folder / "live-base.squashfs"),)
    loaders = (folder / "cd.img", folder / "efi.img")
    start = folder / "k8s-live.gz"
    content = liveiso.Content(folder / "vmlinuz", start, images, *loaders)
    tree = liveiso.medium(content, "Kubernetes Live CD 0.0.0")
    liveiso.write_iso(tree, start, AMD64, Build([folder / name], folder, values=VALUES))
    return (folder / name).read_bytes()


def file(image: Path, path: str) -> tuple[bytes, int]:
    """A file's content, and where it begins, in bytes."""
    reader = pycdlib.PyCdlib()
    reader.open(str(image))
    stream = io.BytesIO()
    reader.get_file_from_iso_fp(stream, joliet_path=path)
    place = reader.get_record(joliet_path=path).extent_location() * 2048
    reader.close()
    return stream.getvalue(), place


def test_same_parts_same_bytes(made: Path) -> None:
    assert write(made, "a.iso") == write(made, "b.iso")


def test_files_and_menu(made: Path) -> None:
    write(made, "a.iso")
    assert file(made / "a.iso", livemenu.KERNEL)[0] == b"MZ kernel"
    assert file(made / "a.iso", livemenu.INITRAMFS)[0] == b"initramfs"
    assert file(made / "a.iso", "/boot/live-base.squashfs")[0] == b"hsqs" * 1000
    menu = file(made / "a.iso", "/boot/grub/grub.cfg")[0].decode()
    for entry in livemenu.ENTRIES:
        assert f"{livemenu.KERNEL} {entry.parameters}" in menu
    assert "linux16" in menu, "the quick way under a BIOS"
    reader = pycdlib.PyCdlib()
    reader.open(str(made / "a.iso"))
    assert reader.pvd.volume_identifier.rstrip() == livemenu.VOLUME_LABEL.encode()
    reader.close()


def test_no_entry_takes_anothers_key() -> None:
    keys = [grubmenu.letter(entry) for entry in livemenu.ENTRIES[1:]] + [grubmenu.MENU_KEY, "y"]
    assert len(set(keys)) == len(keys)


def test_grub_syntax_of_the_menu_is_sound(made: Path) -> None:
    path = made / "grub.cfg"
    path.write_text(livemenu.grub_cfg("Kubernetes Live CD 0.0.0"))
    run([*tools.command("grub-script-check", set="boot"), path])


def test_a_bios_finds_its_sectors_on_cd_and_on_disk(made: Path) -> None:
    """Where cdboot, the MBR and GRUB's first block list point (GRUB's offsets.h, boot_hybrid.img)."""
    data = write(made, "a.iso")
    _, place = file(made / "a.iso", "/boot/grub/cd.img")
    core = place + 2048
    (loaded,) = struct.unpack_from("<Q", data, 0x1B0)
    assert loaded * SECTOR == core, "the MBR loads what lies behind the CD's boot sector"
    (rest,) = struct.unpack_from("<Q", data, core + 0x1F4)
    assert rest * SECTOR == core + SECTOR
    hybrid = tools.tree("boot") / "usr/lib/grub/i386-pc/boot_hybrid.img"
    assert data[:0x1B0] == hybrid.read_bytes()[:0x1B0]
    (table,) = struct.unpack_from("<L", data, place + 12)
    assert table * 2048 == place, "the boot information table names the image's own place"


def test_both_loaders_look_for_the_label(made: Path) -> None:
    (made / "efi").mkdir()
    words: list[str | Path] = [
        *tools.command("mtools"),
        "-c",
        "mcopy",
        "-i",
        made / "efi.img",
        "::/EFI/BOOT/BOOTX64.EFI",
    ]
    run([*words, made / "efi/x"])
    assert f"--label {livemenu.VOLUME_LABEL}".encode() in (made / "efi/x").read_bytes()


def test_sgdisk_finds_no_problem(made: Path) -> None:
    write(made, "a.iso")
    text = run([*tools.command("sgdisk"), "-v", made / "a.iso"]).stdout.decode()
    assert "No problems found" in text


def test_an_image_keeps_owners_and_attributes(tmp_path: Path) -> None:
    tree = Tree()
    tree.add_file("etc/shadow", b"x", 0o640)
    tree.own("etc/shadow", 0, 42, {"user.note": "kept"})
    tree.write_tar(tmp_path / "layer.tar", EPOCH)
    liveiso.build_image(
        tmp_path / "layer.tar",
        Compression("zstd", 128, level=3),
        Build([tmp_path / "a.squashfs"], tmp_path, values=VALUES),
    )
    words: list[str | Path] = [*tools.command("unsquashfs"), "-lln", tmp_path / "a.squashfs"]
    assert "0/42" in next(line for line in run(words).stdout.decode().splitlines() if "shadow" in line)
    pseudo: list[str | Path] = [*tools.command("unsquashfs"), "-pf", "-", tmp_path / "a.squashfs"]
    assert b"user.note" in run(pseudo).stdout


def test_the_initramfs_knows_the_images_and_has_both_libraries(tmp_path: Path) -> None:
    (tmp_path / "live-base.squashfs").write_bytes(b"image")
    tree = liveinit.init_tree({"live-base.squashfs": tmp_path / "live-base.squashfs"})
    _, size, name = tree["etc/kubesolo-os/root.images"].read().decode().split()
    assert (size, name) == ("5", "live-base.squashfs")
    assert tree["init"].mode == 0o755
    assert {"lib/kubesolo-init/lib/devices.sh", "lib/live-init/disk.sh", "lib/live-init/shutdown"} <= set(
        tree
    )
    assert "lib/live-init/init" not in tree
    assert not any("/stages/" in path for path in tree)
