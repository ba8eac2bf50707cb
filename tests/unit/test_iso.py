import io
import os
import time
from pathlib import Path

import pycdlib
import pytest

from tasks.lib.errors import BuildError
from tasks.lib.formats import iso9660
from tasks.lib.formats.tree import Tree

EPOCH = 1_700_000_000
BOOT = iso9660.Boot("isolinux/isolinux.bin", "boot/efi.img")


def sample() -> Tree:
    tree = Tree()
    tree.add_file("isolinux/isolinux.bin", bytes(range(256)) * 100)
    tree.add_file("isolinux/isolinux.cfg", "DEFAULT kubesolo\n")
    tree.add_file("boot/efi.img", b"FAT" * 30000)
    tree.add_file("boot/kubesolo-os.gz", b"initramfs")
    tree.add_file("boot/kubesolo_os.gz", b"other")
    tree.add_file("boot/root.squashfs", b"hsqs" * 5000)
    tree.add_file("boot/vmlinuz", b"kernel")
    return tree


def open_iso(path: Path) -> pycdlib.PyCdlib:
    image = pycdlib.PyCdlib()
    image.open(str(path))
    return image


def read(image: pycdlib.PyCdlib, **name: str) -> bytes:
    stream = io.BytesIO()
    image.get_file_from_iso_fp(stream, **name)
    return stream.getvalue()


def test_same_bytes_at_another_time_and_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    iso9660.write(sample(), tmp_path / "a.iso", "KUBESOLO", BOOT, EPOCH)
    old = os.umask(0o077)
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        (tmp_path / "other").mkdir()
        time.sleep(1.1)
        iso9660.write(sample(), tmp_path / "other/b.iso", "KUBESOLO", BOOT, EPOCH)
    finally:
        os.umask(old)
        monkeypatch.undo()
        time.tzset()
    assert (tmp_path / "a.iso").read_bytes() == (tmp_path / "other/b.iso").read_bytes()


def test_names_label_and_content(tmp_path: Path) -> None:
    iso9660.write(sample(), tmp_path / "a.iso", "KUBESOLO", BOOT, EPOCH)
    image = open_iso(tmp_path / "a.iso")
    assert image.pvd.volume_identifier.rstrip() == b"KUBESOLO"
    for name in ("rr_path", "joliet_path"):
        assert read(image, **{name: "/boot/kubesolo-os.gz"}) == b"initramfs"
        assert read(image, **{name: "/boot/kubesolo_os.gz"}) == b"other"
        assert read(image, **{name: "/boot/root.squashfs"}) == b"hsqs" * 5000


def test_boot_catalog_starts_isolinux_and_the_efi_image(tmp_path: Path) -> None:
    layout = iso9660.write(sample(), tmp_path / "a.iso", "KUBESOLO", BOOT, EPOCH)
    data = (tmp_path / "a.iso").read_bytes()
    record = data[17 * 2048 :]
    assert record[7:39].rstrip(b"\0") == b"EL TORITO SPECIFICATION"
    catalog = data[int.from_bytes(record[71:75], "little") * 2048 :]
    assert catalog[0x20] == 0x88
    assert int.from_bytes(catalog[0x28:0x2C], "little") * 4 == layout.isolinux
    assert catalog[0x40] == 0x91
    assert catalog[0x41] == 0xEF
    assert catalog[0x60] == 0x88
    assert int.from_bytes(catalog[0x68:0x6C], "little") * 4 == layout.esp_start
    assert data[layout.esp_start * 512 :][:90000] == b"FAT" * 30000
    assert layout.esp_size == -(-90000 // 512)
    loader = data[layout.isolinux * 512 :]
    assert int.from_bytes(loader[12:16], "little") * 4 == layout.isolinux, "boot info table"
    assert int.from_bytes(loader[16:20], "little") == 25600


def test_only_uefi_is_possible_too(tmp_path: Path) -> None:
    layout = iso9660.write(sample(), tmp_path / "a.iso", "KUBESOLO", iso9660.Boot("", "boot/efi.img"), EPOCH)
    data = (tmp_path / "a.iso").read_bytes()
    catalog = data[int.from_bytes(data[17 * 2048 + 71 :][:4], "little") * 2048 :]
    assert catalog[1] == 0xEF
    assert int.from_bytes(catalog[0x28:0x2C], "little") * 4 == layout.esp_start


def test_links_are_refused(tmp_path: Path) -> None:
    tree = sample()
    tree.add_symlink("boot/link", "vmlinuz")
    with pytest.raises(BuildError, match="boot/link"):
        iso9660.write(tree, tmp_path / "a.iso", "KUBESOLO", BOOT, EPOCH)
