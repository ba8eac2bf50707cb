"""What makes a disk with two slots start: GRUB for BIOS and UEFI, its script and its state, as one tar.

The disk image holds it as it is; on the ISO it is what the installer writes to disks.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from agent import grubenv
from tasks.lib.arch import HOST, Arch
from tasks.lib.boot import grub, slots
from tasks.lib.debian.lockfile import keyed
from tasks.lib.engine import Build, artifact
from tasks.lib.formats.tree import Tree
from tasks.lib.paths import TOP
from tasks.lib.release.manifest import NAME
from tasks.lib.target import Target
from tasks.parts import BOOT_SET

# The BIOS boot partition's first sector: 1 MiB, where partitions begin for the sake of larger sectors.
CORE_SECTOR = 2048
# In the tar: what goes to the first sector, to the BIOS boot partition, and into the first partition.
BOOT_CODE = "boot.img"
CORE = "core.img"
ESP = "esp"


def archive(target: Target) -> Path:
    """The tar."""
    return target.version_folder / "diskboot.tar"


def build(arch: Arch, b: Build) -> None:
    """All that the firmware starts, and GRUB reads, on a disk."""
    tree, program, core = Tree(), b.scratch / arch.efi_file, b.scratch / CORE
    if arch.bios:
        grub.write_core(core, arch, CORE_SECTOR)
        tree.add_file(BOOT_CODE, grub.boot_code(arch, CORE_SECTOR))
        tree.add_file(CORE, core)
    grub.write_disk_image(program, arch)
    tree.add_file(f"{ESP}/EFI/BOOT/{arch.efi_file}", program)
    tree.add_file(f"{ESP}/grub/grub.cfg", slots.disk_cfg(f"{NAME} {b.values['version']}"))
    tree.add_file(f"{ESP}/grub/grubenv", grubenv.render(slots.STATE))
    tree.add_file(f"{ESP}/grub/grubenv.good", grubenv.render(slots.SECOND_STATE))
    tree.write_tar(b.out, b.epoch)


def tasks(target: Target) -> Iterator[dict[str, object]]:
    """GRUB for disks."""
    yield artifact(
        target.task("diskboot"),
        doc="GRUB for disks with slots: BIOS, UEFI, menu, state",
        build=partial(build, target.arch),
        targets=[archive(target)],
        files=[slots.SCRIPT, TOP / "agent" / "grubenv.py"],
        values={"epoch": target.epoch, "version": target.version},
        tools=["tools", BOOT_SET, *([] if target.arch is HOST else [keyed(BOOT_SET, target.arch.name)])],
        group=target.group,
    )
