"""The ISO task with small parts in place of the real ones; the boot loaders are the real ones."""

import hashlib
import io
import json
import os
from pathlib import Path

import pycdlib
import pytest

from tasks import checksums, iso, parts
from tasks.bootset import BootSet
from tasks.lib.arch import AMD64
from tasks.lib.boot.menu import ENTRIES
from tasks.lib.debian import tools
from tasks.lib.engine import Build
from tasks.lib.process import run
from tasks.lib.provider import Part, parts_text
from tasks.lib.release import sbom
from tasks.lib.release.description import Origin
from tests.unit.targets import VALUES

BACKUP_TABLE = 33 * 512
NAME = "kubesolo-os-0.0.0-amd64.iso"
MANIFEST = f"{NAME}.manifest.json"
SBOM = f"{NAME}.spdx.json"


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A folder with small parts."""
    (tmp_path / "vmlinuz").write_bytes(b"MZ kernel")
    (tmp_path / "kubesolo-os.gz").write_bytes(b"initramfs")
    (tmp_path / "root.squashfs").write_bytes(b"hsqs" * 1000)
    part = Part("nftables", "package", "1.1", "nftables", "ab" * 32, "GPL-2.0-only")
    (tmp_path / "list.json").write_text(parts_text([part]))
    (tmp_path / "spdx.json").write_text(sbom.template([part], "0.0.0", "amd64", 1_700_000_000))
    (tmp_path / "scratch").mkdir()
    (tmp_path / "diskboot.tar").write_bytes(b"GRUB for disks")
    iso.build_efi(AMD64, Build([tmp_path / "efi.img"], tmp_path / "scratch", values=VALUES))
    return tmp_path


def build(folder: Path, out: str) -> Path:
    target = folder / out
    target.mkdir()
    b = Build([target / NAME, target / MANIFEST, target / SBOM], folder / "scratch", values=VALUES)
    images = {"root.squashfs": folder / "root.squashfs"}
    parts = BootSet(folder / "vmlinuz", folder / "kubesolo-os.gz", images)
    iso.build_iso(
        parts,
        folder / "efi.img",
        folder / "diskboot.tar",
        Origin((folder / "list.json",), folder / "spdx.json"),
        NAME,
        b,
    )
    sums = Build([target / "SHA256SUMS"], folder / "scratch")
    checksums.build_checksums((target / NAME, target / MANIFEST, target / SBOM), sums)
    return target


def read(image: pycdlib.PyCdlib, path: str) -> bytes:
    stream = io.BytesIO()
    image.get_file_from_iso_fp(stream, rr_path=path)
    return stream.getvalue()


def test_the_medium_has_what_the_boot_contract_names(made: Path) -> None:
    image = pycdlib.PyCdlib()
    image.open(str(build(made, "a") / NAME))
    assert image.pvd.volume_identifier.rstrip() == b"KUBESOLO"
    assert read(image, "/boot/vmlinuz") == b"MZ kernel"
    assert read(image, "/boot/kubesolo-os.gz") == b"initramfs"
    assert read(image, "/boot/root.squashfs") == b"hsqs" * 1000
    for config in ("/isolinux/isolinux.cfg", "/boot/grub/grub.cfg"):
        text = read(image, config).decode()
        assert all(f"{entry.label}" in text and entry.parameters in text for entry in ENTRIES)
    image.close()


def test_checksums_and_manifest_are_right(made: Path) -> None:
    target = build(made, "a")
    run(["sha256sum", "-c", "SHA256SUMS"], cwd=target)
    found = json.loads((target / MANIFEST).read_text())
    assert found["file"]["sha256"] == hashlib.sha256((target / NAME).read_bytes()).hexdigest()
    names = {part["name"] for part in found["parts"]}
    assert {"nftables", "kubesolo-os.gz", "root.squashfs"} <= names


def test_the_same_parts_give_the_same_bytes(made: Path) -> None:
    first, second = build(made, "a"), build(made, "b")
    for name in (NAME, "SHA256SUMS", MANIFEST, SBOM):
        assert (first / name).read_bytes() == (second / name).read_bytes()


def test_sgdisk_finds_no_problem_and_the_efi_partition_has_grub(made: Path) -> None:
    image = build(made, "a") / NAME
    text = run([*tools.command("sgdisk"), "-v", "-p", image]).stdout.decode()
    assert "No problems found" in text
    row = next(line.split() for line in text.splitlines() if line.strip().endswith("EF00  EFI"))
    assert row[5] == "EF00"
    partition = made / "esp.img"
    data = image.read_bytes()
    partition.write_bytes(data[int(row[1]) * 512 : (int(row[2]) + 1) * 512])
    assert partition.read_bytes() == (made / "efi.img").read_bytes()
    listing = run([*tools.command("mtools"), "-c", "mdir", "-/", "-b", "-i", partition]).stdout.decode()
    assert "::/EFI/BOOT/BOOTX64.EFI" in listing


@pytest.mark.parametrize("tool", ["sgdisk", "sfdisk"])
def test_a_partition_added_on_the_stick_comes_behind_the_iso(made: Path, tool: str) -> None:
    image = build(made, "a") / NAME
    content = image.read_bytes()
    os.truncate(image, len(content) + (32 << 20))
    if tool == "sgdisk":
        run([*tools.command("sgdisk"), "-e", "-n", "0:0:+8M", "-c", "4:KSOLODATA", image])
    else:
        script = made / "script"
        script.write_text("size=8M, name=KSOLODATA\n")
        run([*tools.command("sgdisk"), "-e", image])
        with script.open("rb") as stream:
            run([*tools.command("sfdisk"), "-q", "--append", image], stdin=stream)
    text = run([*tools.command("sgdisk"), "-v", "-p", image]).stdout.decode()
    assert "No problems found" in text
    row = next(line.split() for line in text.splitlines() if line.strip().endswith("KSOLODATA"))
    end = len(content) - BACKUP_TABLE
    assert int(row[1]) * 512 >= end, "only the backup table, which has moved, may lie under it"
    assert image.read_bytes()[32768:end] == content[32768:end]


def test_the_boot_loaders_are_listed_and_their_helpers_not() -> None:
    assert "isolinux" in parts.LOADERS
    assert "grub-common" not in parts.LOADERS
