"""The disk image, made of small files in the place of the boot set's."""

from __future__ import annotations

import re
import tarfile
from pathlib import Path

import pytest

from agent import grubenv
from tasks import diskboot, diskimage
from tasks.bootset import BootSet
from tasks.lib.arch import AMD64
from tasks.lib.boot import slots
from tasks.lib.boot.menu import Entry
from tasks.lib.debian import tools
from tasks.lib.engine import Build
from tasks.lib.formats.gpt import SECTOR
from tasks.lib.paths import TOP
from tasks.lib.process import run
from tasks.lib.release import sbom
from tasks.lib.release.description import Origin
from tests.unit.targets import EPOCH, VALUES

GOLDEN = Path(__file__).with_name("golden") / "disk-grub.cfg"


def make(folder: Path) -> Path:
    """A disk image in a folder of its own."""
    folder.mkdir()
    for name in ("vmlinuz", "kubesolo-os.gz", "root.squashfs"):
        (folder / name).write_bytes(name.encode() * 1000)
    loaders, image = folder / "diskboot.tar", folder / "disk.img"
    (folder / "scratch").mkdir()
    diskboot.build(AMD64, Build([loaders], folder / "scratch", values=VALUES))
    parts = BootSet(
        folder / "vmlinuz", folder / "kubesolo-os.gz", {"root.squashfs": folder / "root.squashfs"}
    )
    (folder / "spdx.json").write_text(sbom.template([], "0.0.0", "amd64", EPOCH))
    outs = [image, folder / "manifest.json", folder / "disk.spdx.json"]
    origin = Origin((), folder / "spdx.json")
    diskimage.build(parts, loaders, origin, "disk.img", Build(outs, folder / "scratch", values=VALUES))
    return image


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("disk") / "one")


def table(image: Path) -> dict[int, tuple[int, int, str]]:
    """Start, end in sectors and name of each partition, as sgdisk sees them."""
    text = run([*tools.command("sgdisk"), "-p", image]).stdout.decode()
    rows = re.findall(r"^ +(\d+) +(\d+) +(\d+) .* (\S+)$", text, re.MULTILINE)
    return {int(number): (int(start), int(end), name) for number, start, end, name in rows}


def test_partitions_are_those_of_the_specification(image: Path) -> None:
    mib = 2048
    assert "No problems found" in run([*tools.command("sgdisk"), "-v", image]).stdout.decode()
    assert table(image) == {
        1: (2 * mib, 258 * mib - 1, "KSOLOEFI"),
        2: (258 * mib, 770 * mib - 1, "KSOLOA"),
        3: (770 * mib, 1282 * mib - 1, "KSOLOB"),
        4: (1282 * mib, 2047 * mib - 1, "KSOLODATA"),
        5: (1 * mib, 2 * mib - 1, "KSOLOBIOS"),
    }


def test_two_builds_have_the_same_bytes(image: Path, tmp_path: Path) -> None:
    run(["cmp", image, make(tmp_path / "another")])


def test_a_slot_holds_the_boot_set_beside_its_manifest_and_needs_no_journal(image: Path) -> None:
    for row in diskimage.LAYOUT[1:3]:
        offset = f"{image}?offset={row.offset}"
        text = run([*tools.command("debugfs"), "-R", "ls -p /", offset]).stdout.decode()
        names = {line.split("/")[5] for line in text.splitlines() if line}
        assert names >= {"vmlinuz", "kubesolo-os.gz", "root.squashfs", "manifest.json"}
        features = run([*tools.command("debugfs"), "-R", "features", offset]).stdout.decode()
        assert "has_journal" not in features
        e2fsck = [*tools.command("e2fsck"), "-f", "-n", offset]
        run(e2fsck)


def test_bios_finds_its_core_and_the_core_its_second_sector(image: Path) -> None:
    with image.open("rb") as stream:
        first = stream.read(SECTOR)
        stream.seek(diskboot.CORE_SECTOR * SECTOR)
        core = stream.read(SECTOR)
    assert int.from_bytes(first[0x5C:0x64], "little") == diskboot.CORE_SECTOR
    assert first[510:] == b"\x55\xaa"
    assert first[450] == 0xEE, "the protective entry stays"
    assert int.from_bytes(core[0x1F4:0x1FC], "little") == diskboot.CORE_SECTOR + 1


def test_the_state_is_what_the_running_system_can_read(image: Path) -> None:
    with tarfile.open(image.with_name("diskboot.tar")) as archive:
        stream = archive.extractfile("esp/grub/grubenv")
        assert stream
        assert grubenv.parse(stream.read()) == slots.STATE


def test_the_image_is_sparse(image: Path) -> None:
    assert image.stat().st_blocks * 512 < 32 << 20


def test_the_installer_makes_the_same_partitions() -> None:
    """Without a size the last one takes the rest of the disk."""
    text = (TOP / "overlay/usr/lib/kubesolo-os/install/write.sh").read_text()
    rows = re.findall(r"^(\d) : start=(\d+),(?: size=(\d+),)? .*name=\"(\w+)\"$", text, re.MULTILINE)
    expected = {
        row.number: (row.start, None if row.number == diskimage.DATA else row.size, row.name)
        for row in diskimage.LAYOUT
    }
    found = {int(n): (int(start), int(size) if size else None, name) for n, start, size, name in rows}
    assert found == expected
    assert f"SLOT_OPTIONS='{' '.join(diskimage.SLOT_OPTIONS)}'" in text


def test_grub_is_told_what_has_been_reviewed() -> None:
    assert slots.disk_cfg("KubeSolo OS 1.2.3") == GOLDEN.read_text(), (
        f"when the change is meant: write what slots.disk_cfg() gives to {GOLDEN}"
    )


@pytest.mark.parametrize("entry", slots.ENTRIES, ids=lambda entry: entry.label)
def test_every_entry_survives_a_torn_table_and_a_panic(entry: Entry) -> None:
    words = entry.parameters.split()
    assert {"gpt", "panic=10", "kubesolo.data=LABEL=KSOLODATA"} <= set(words)
    assert not any(word.startswith("kubesolo.slot=") for word in words), "GRUB says which"
