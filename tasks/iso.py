"""The hybrid ISO: finished parts put in place, isolinux for BIOS, GRUB for UEFI, for CD and stick."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tasks import diskboot
from tasks.bootset import BootSet, boot_set
from tasks.kernel import audit_table
from tasks.lib.arch import HOST, Arch
from tasks.lib.boot import grub, grubmenu, isolinux, menu
from tasks.lib.debian import tools
from tasks.lib.debian.lockfile import keyed
from tasks.lib.engine import Build, artifact
from tasks.lib.engine.spec import relative
from tasks.lib.formats import fat, iso9660
from tasks.lib.formats.hybrid import make_hybrid
from tasks.lib.formats.tree import Tree
from tasks.lib.release.description import Origin, describe
from tasks.lib.release.manifest import NAME, digest
from tasks.lib.release.product import Product
from tasks.lib.target import Target
from tasks.parts import BOOT_SET
from tasks.parts import origin as origin_of

ISOLINUX = "usr/lib/ISOLINUX"
ISOLINUX_MODULES = "usr/lib/syslinux/modules/bios"
ESP_LABEL = "KSOLOEFI"
INSTALLER = "boot/disk.tar"
BOOT = iso9660.Boot("isolinux/isolinux.bin", "boot/grub/efi.img")


def efi_image(target: Target) -> Path:
    """The FAT image that UEFI starts."""
    return target.folder / "efi.img"


def build_efi(arch: Arch, b: Build, label: str = menu.VOLUME_LABEL) -> None:
    """The FAT image that UEFI starts: GRUB, which goes on with grub.cfg on the medium of that label."""
    program = b.scratch / arch.efi_file
    grub.write_image(program, grubmenu.grub_early_cfg(label), arch, b.scratch)
    tree = Tree()
    tree.add_file(f"EFI/BOOT/{program.name}", program)
    fat.write(tree, b.out, b.epoch, int(digest(program)[:8], 16), ESP_LABEL, b.scratch)


def medium(parts: BootSet, efi: Path, disk: Path, title: str) -> Tree:
    """Everything on the medium. disk: what makes a disk start. title: such as KubeSolo OS 0.1.0."""
    loaders = tools.tree(BOOT_SET)
    tree = Tree()
    tree.add_file(menu.KERNEL, parts.kernel)
    tree.add_file(menu.INITRAMFS, parts.initramfs)
    for name, image in parts.images.items():
        tree.add_file(f"boot/{name}", image)
    tree.add_file(INSTALLER, disk)
    tree.add_file(BOOT.efi, efi)
    tree.add_file("boot/grub/grub.cfg", grubmenu.grub_cfg(title))
    tree.add_file(BOOT.bios, loaders / ISOLINUX / "isolinux.bin")
    for module in ("ldlinux.c32", *isolinux.GREETER):
        tree.add_file(f"isolinux/{module}", loaders / ISOLINUX_MODULES / module)
    tree.add_file("isolinux/isolinux.cfg", isolinux.greeting_cfg(title))
    tree.add_file(isolinux.PROMPT, isolinux.prompt_cfg(title))
    tree.add_file(isolinux.GREETING, isolinux.greeting(title))
    return tree


def write_iso(parts: BootSet, efi: Path, disk: Path, b: Build) -> None:
    """Write the hybrid ISO."""
    tree = medium(parts, efi, disk, f"{NAME} {b.values['version']}")
    layout = iso9660.write(tree, b.out, menu.VOLUME_LABEL, BOOT, b.epoch)
    code = (tools.tree(BOOT_SET) / ISOLINUX / "isohdpfx.bin").read_bytes()
    # The initramfs holds the digests of the root's images, so that it stands for the whole product.
    make_hybrid(b.out, code, layout, bytes.fromhex(digest(parts.initramfs)))


def build_iso(parts: BootSet, efi: Path, disk: Path, origin: Origin, name: str, b: Build) -> None:
    """The product, and what describes it."""
    write_iso(parts, efi, disk, b)
    describe(b, name, origin, {**parts.own(), disk.name: disk})


def product(target: Target) -> Product:
    """The ISO of a target."""
    return Product("iso", target)


def tasks(target: Target) -> Iterator[dict[str, object]]:
    """GRUB for UEFI, and the ISO."""
    yield artifact(
        target.task("efi-image"),
        doc="FAT image with GRUB, for UEFI",
        build=partial(build_efi, target.arch),
        targets=[efi_image(target)],
        values={"epoch": target.epoch},
        tools=["tools", BOOT_SET, *([] if target.arch is HOST else [keyed(BOOT_SET, target.arch.name)])],
        group=target.group,
    )
    made, parts = product(target), boot_set(target)
    origin, disk = origin_of(target), diskboot.archive(target)
    yield artifact(
        made.task,
        doc=f"{relative(made.path)}: boots from CD and USB, BIOS and UEFI",
        build=partial(build_iso, parts, efi_image(target), disk, origin, made.path.name),
        targets=made.files(),
        files=[*parts.files(), audit_table(target), efi_image(target), disk, *origin.files()],
        values=target.description(),
        tools=[BOOT_SET],
        group=made.group,
    )
