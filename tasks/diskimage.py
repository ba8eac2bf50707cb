"""The disk image: a GUID partition table with two slots and a data partition, for BIOS and UEFI."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tasks import diskboot
from tasks.bootset import BootSet, boot_set
from tasks.kernel import audit_table
from tasks.lib.debian import tools
from tasks.lib.engine import Build, artifact
from tasks.lib.engine.spec import relative
from tasks.lib.formats import ext4, fat, gpt
from tasks.lib.formats.gpt import Partition
from tasks.lib.formats.hybrid import guid
from tasks.lib.formats.tree import Tree
from tasks.lib.process import run
from tasks.lib.release.description import Origin, describe
from tasks.lib.release.manifest import ID, MANIFEST_SCHEMA, digest
from tasks.lib.release.product import Product
from tasks.lib.target import Target
from tasks.parts import origin as origin_of

MIB = 2048  # sectors
# The smallest disk has 4 GB, which is less than 4 GiB; the data partition grows at the first boot.
SIZE = 2 << 30
DATA = 4
LAYOUT = (
    Partition(1, "KSOLOEFI", 2 * MIB, 256 * MIB, "esp"),
    Partition(2, "KSOLOA", 258 * MIB, 512 * MIB),
    Partition(3, "KSOLOB", 770 * MIB, 512 * MIB),
    Partition(DATA, "KSOLODATA", 1282 * MIB, SIZE // gpt.SECTOR - 1283 * MIB),
    Partition(5, "KSOLOBIOS", diskboot.CORE_SECTOR, MIB, "bios_grub"),
)
SLOTS = (2, 3)
# A slot is written once and then read, by GRUB too, which does not replay a journal.
SLOT_OPTIONS = ("-O", "^has_journal,^resize_inode", "-m", "0", "-N", "64")
# The journal of a disk, not of this small image.
DATA_OPTIONS = ("-J", "size=64")
SALT = b"kubesolo-os disk "


def slot(parts: BootSet, version: str, architecture: str) -> Tree:
    """The content of a slot: the boot set, and what it is."""
    tree = Tree()
    files = {"vmlinuz": parts.kernel, **parts.own()}
    for name, path in files.items():
        tree.add_file(name, path)
    rows = {name: {"size": path.stat().st_size, "sha256": digest(path)} for name, path in files.items()}
    about = {"schema": MANIFEST_SCHEMA, "name": ID, "version": version, "architecture": architecture}
    tree.add_file("manifest.json", json.dumps({**about, "files": rows}, indent=2) + "\n")
    return tree


def write_image(parts: BootSet, loaders: Path, b: Build) -> None:
    """Write the disk."""
    version, architecture = b.values["version"], b.values["architecture"]
    identity = SALT + f"{version} {architecture}".encode()
    guids = {number: guid(identity, f"disk {number}") for number in range(len(LAYOUT) + 1)}
    image = b.out
    gpt.write(image, SIZE, LAYOUT, guids)
    boot, esp = Tree(), Tree()
    boot.add_tar(loaders)
    for path, entry in boot.items():
        if path.startswith(f"{diskboot.ESP}/") and entry.kind == "file":
            esp.add_file(path.removeprefix(f"{diskboot.ESP}/"), entry.read())
    place = (LAYOUT[0].offset, LAYOUT[0].length)
    fat.write_at(esp, image, place, b.epoch, guids[1].fields[0], LAYOUT[0].name, b.scratch)
    content = slot(parts, version, architecture)
    for number in (*SLOTS, DATA):
        row = LAYOUT[number - 1]
        options = DATA_OPTIONS if number == DATA else SLOT_OPTIONS
        shape = ext4.Shape(row.name, guids[number], row.offset, row.length, options)
        ext4.write(image, shape, b.epoch, b.scratch, None if number == DATA else content)
    if diskboot.CORE in boot:
        with image.open("r+b") as stream:
            stream.write(boot[diskboot.BOOT_CODE].read())
            stream.seek(diskboot.CORE_SECTOR * gpt.SECTOR)
            stream.write(boot[diskboot.CORE].read())


def build(parts: BootSet, loaders: Path, origin: Origin, name: str, b: Build) -> None:
    """The product, and what describes it."""
    write_image(parts, loaders, b)
    describe(b, name, origin, {**parts.own(), loaders.name: loaders})


def product(target: Target) -> Product:
    """The disk image of a target."""
    return Product("disk-image", target, "img")


def packed(target: Target, suffix: str) -> Path:
    """The same, as others want it: img.zst to be sent, qcow2 for virtual machines."""
    return product(target).path.with_suffix(f".{suffix}")


def build_zst(image: Path, b: Build) -> None:
    """The image compressed; what it holds is compressed already."""
    run([*tools.command("zstd"), "-q", "-f", "-3", "-T2", image, "-o", b.out])


def build_qcow2(image: Path, b: Build) -> None:
    """The image in QEMU's own format, which is sparse wherever it is copied to."""
    words = ["convert", "-f", "raw", "-O", "qcow2", "-W", "-m", "1"]
    run([*tools.command("qemu-img", set="qemu"), *words, image, b.out])


def tasks(target: Target) -> Iterator[dict[str, object]]:
    """The disk image, and its other forms."""
    made, parts, loaders = product(target), boot_set(target), diskboot.archive(target)
    origin = origin_of(target)
    yield artifact(
        made.task,
        doc=f"{relative(made.path)}: a disk with slots A and B, BIOS and UEFI",
        build=partial(build, parts, loaders, origin, made.path.name),
        targets=made.files(),
        files=[*parts.files(), audit_table(target), loaders, *origin.files(), gpt.PROGRAM],
        values=target.description(),
        tools=["tools", gpt.SET],
        group=made.group,
    )
    if made.for_tests:
        return
    for suffix, recipe, tool in (("img.zst", build_zst, "tools"), ("qcow2", build_qcow2, "qemu")):
        out = packed(target, suffix)
        yield artifact(
            target.task(f"disk-{suffix.rpartition('.')[2]}"),
            doc=f"{relative(out)}: the disk image, packed",
            build=partial(recipe, made.path),
            targets=[out],
            files=[made.path],
            tools=[tool],
            group=made.group,
        )
