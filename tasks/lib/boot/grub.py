"""GRUB's programs (GRUB manual, "Invoking grub-mkimage"): for UEFI on media, for UEFI and BIOS on disks."""

from __future__ import annotations

import struct
from pathlib import Path

from tasks.lib.arch import Arch
from tasks.lib.debian import tools
from tasks.lib.debian.lockfile import keyed
from tasks.lib.process import run

# What the menu needs and no more: each module is read by firmware before the menu shows.
MODULES = (
    "iso9660", "fat", "part_gpt", "part_msdos", "search", "search_label",
    "linux", "normal", "configfile", "echo", "test", "reboot", "all_video", "serial", "terminal",
)  # fmt: skip


# What a disk's script needs. regexp and probe tell which disk it is; loadenv keeps state on it.
DISK_MODULES = (
    "part_gpt", "fat", "ext2", "linux", "normal", "configfile", "echo", "test", "true", "loadenv", "regexp",
    "probe", "sleep", "reboot", "serial", "terminal",
)  # fmt: skip
# Commands of the 16-bit boot protocol start the kernel 2 s sooner than `linux` under emulated BIOSes.
BIOS_MODULES = ("biosdisk", "linux16")
# The first partition of the disk that this was started from: no label of another disk can mislead it.
DISK_PREFIX = "(,gpt1)/grub"
# boot.S, the boot sector: where its parts lie (GRUB's include/grub/i386/pc/boot.h, offsets.h).
KERNEL_SECTOR = slice(0x5C, 0x64)
DRIVE_CHECK = slice(0x66, 0x68)
BOOT_CODE = 0x1B8
FIRST_BLOCK = slice(0x1F4, 0x1FC)
# An image for CDs begins with cdboot.img, of 2 KiB.
CD_SECTORS = 4
HYBRID_CODE = 0x1B0


def write_image(out: Path, configuration: str, arch: Arch, scratch: Path) -> None:
    """Write GRUB with an embedded configuration as an EFI program.

    arch: what it is for; grub-mkimage itself is the host's. scratch: a folder for the configuration.
    Raises BuildError when grub-mkimage fails.
    """
    early = scratch / "early.cfg"
    early.write_text(configuration)
    mkimage(out, arch.grub_efi, arch, ["-p", "/boot/grub", "-c", early], MODULES)


def write_disk_image(out: Path, arch: Arch) -> None:
    """Write GRUB as the EFI program of a disk, which goes on with grub.cfg on the disk's first partition."""
    mkimage(out, arch.grub_efi, arch, ["-p", DISK_PREFIX], (*DISK_MODULES, "all_video"))


def write_cd_image(out: Path, configuration: str, arch: Arch, scratch: Path) -> None:
    """Write GRUB for BIOS with an embedded configuration, started from a CD (El Torito) or by hybrid_code.

    Once it lies on the medium, place_cd_image completes it.
    """
    early = scratch / "early-cd.cfg"
    early.write_text(configuration)
    options: list[str | Path] = ["-p", "/boot/grub", "-c", early]
    mkimage(out, arch.grub_bios, arch, options, (*BIOS_MODULES, *MODULES), suffix="-eltorito")


def place_cd_image(medium: Path, sector: int) -> int:
    """Tell the image of write_cd_image where it lies on the medium, in sectors of 512 bytes.

    For BIOSes that read the medium as a disk. Returns the sector that hybrid_code is to load: behind the
    2 KiB that a CD's BIOS starts (GRUB's include/grub/offsets.h; xorriso calls it --grub2-boot-info).
    """
    core = sector + CD_SECTORS
    with medium.open("r+b") as stream:
        stream.seek(core * 512 + FIRST_BLOCK.start)
        stream.write(struct.pack("<Q", core + 1))
    return core


def hybrid_code(arch: Arch) -> bytes:
    """What an MBR begins with that starts the image of write_cd_image; it finds its sector at offset 432."""
    folder = tools.tree(keyed("boot", arch.name)) / "usr/lib/grub" / arch.grub_bios
    return (folder / "boot_hybrid.img").read_bytes()[:HYBRID_CODE]


def write_core(out: Path, arch: Arch, sector: int) -> None:
    """Write GRUB's core for BIOS, to be put raw at a sector of the disk."""
    mkimage(out, arch.grub_bios, arch, ["-p", DISK_PREFIX], (*BIOS_MODULES, *DISK_MODULES))
    core = bytearray(out.read_bytes())
    core[FIRST_BLOCK] = struct.pack("<Q", sector + 1)  # the first of its sectors loads the others
    out.write_bytes(core)


def boot_code(arch: Arch, sector: int) -> bytes:
    """What goes to the start of the disk's first sector, before the disk signature: it loads the core."""
    folder = tools.tree(keyed("boot", arch.name)) / "usr/lib/grub" / arch.grub_bios
    code = bytearray((folder / "boot.img").read_bytes())
    code[KERNEL_SECTOR] = struct.pack("<Q", sector)
    code[DRIVE_CHECK] = b"\x90\x90"  # as grub-install for hard disks: the BIOS' word for the drive counts
    return bytes(code[:BOOT_CODE])


def mkimage(
    out: Path,
    platform: str,
    arch: Arch,
    options: list[str | Path],
    modules: tuple[str, ...],
    suffix: str = "",
) -> None:
    """Put GRUB's modules together. suffix: what the format's name has besides the platform."""
    folder = tools.tree(keyed("boot", arch.name)) / "usr/lib/grub" / platform
    shape: list[str | Path] = ["-O", f"{platform}{suffix}", "-d", folder, *options, "-o", out]
    run([*tools.command("grub-mkimage", set="boot"), *shape, *modules])
