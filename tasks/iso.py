"""The hybrid ISO: finished parts put in place, isolinux for BIOS, GRUB for UEFI, for CD and stick."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from tasks import initramfs, rootfs, userland
from tasks.kernel import Files
from tasks.lib.boot import grub, grubmenu, menu
from tasks.lib.config import load_config
from tasks.lib.debian import tools
from tasks.lib.engine import Build, artifact
from tasks.lib.formats import fat, iso9660
from tasks.lib.formats.hybrid import make_hybrid
from tasks.lib.formats.tree import Tree
from tasks.lib.paths import BUILD, OUTPUT
from tasks.lib.release.manifest import (
    ARCHITECTURE,
    NAME,
    Part,
    checksums,
    digest,
    file_name,
    manifest,
    read_parts,
)
from tasks.parts import BOOT_SET, MEDIA, payload_parts

EFI_IMAGE = BUILD / "efi.img"
CHECKSUMS = OUTPUT / "SHA256SUMS"
MANIFEST = OUTPUT / "manifest.json"
ISOLINUX = "usr/lib/ISOLINUX"
ISOLINUX_MODULES = "usr/lib/syslinux/modules/bios"
ESP_LABEL = "KSOLOEFI"
BOOT = iso9660.Boot("isolinux/isolinux.bin", "boot/grub/efi.img")


def product_title() -> str:
    """What the boot menus call it, e.g. KubeSolo OS 0.1.0."""
    return f"{NAME} {load_config().os.version}"


def build_efi(b: Build) -> None:
    """The FAT image that UEFI starts: GRUB, which goes on with grub.cfg on the medium."""
    program = b.scratch / grub.TARGETS[ARCHITECTURE][1]
    grub.write_image(program, grubmenu.grub_early_cfg(), ARCHITECTURE, b.scratch)
    tree = Tree()
    tree.add_file(f"EFI/BOOT/{program.name}", program)
    fat.write(tree, b.out, load_config().os.epoch, int(digest(program)[:8], 16), ESP_LABEL, b.scratch)


def medium(provider: str) -> Tree:
    """Everything on the medium."""
    loaders = tools.tree(BOOT_SET)
    tree = Tree()
    tree.add_file(menu.KERNEL, Files(load_config().kernel.flavour).vmlinuz)
    tree.add_file(menu.INITRAMFS, initramfs.initramfs(provider))
    for name, image in rootfs.layers(provider).items():
        tree.add_file(f"boot/{name}", image)
    tree.add_file(BOOT.efi, EFI_IMAGE)
    tree.add_file("boot/grub/grub.cfg", grubmenu.grub_cfg(product_title()))
    tree.add_file(BOOT.bios, loaders / ISOLINUX / "isolinux.bin")
    tree.add_file("isolinux/ldlinux.c32", loaders / ISOLINUX_MODULES / "ldlinux.c32")
    tree.add_file("isolinux/isolinux.cfg", menu.isolinux_cfg(product_title()))
    tree.add_file(menu.GREETING, menu.greeting(product_title()))
    return tree


def write_iso(provider: str, out: Path) -> None:
    """Write the hybrid ISO of a payload provider."""
    layout = iso9660.write(medium(provider), out, menu.VOLUME_LABEL, BOOT, load_config().os.epoch)
    code = (tools.tree(BOOT_SET) / ISOLINUX / "isohdpfx.bin").read_bytes()
    # The initramfs holds the digests of the root's images, so that it stands for the whole product.
    make_hybrid(out, code, layout, bytes.fromhex(digest(initramfs.initramfs(provider))))


def build_iso(provider: str, name: str, b: Build) -> None:
    """The product: the ISO, its manifest, and the checksums of both."""
    config = load_config()
    image, sums, description = b.outs
    write_iso(provider, image)
    parts = [part for listing in listings(provider) for part in read_parts(listing)]
    description.write_text(
        manifest(name, config.os.version, config.os.epoch, image, [*parts, *own_parts(provider)])
    )
    sums.write_text(checksums([(name, image), (MANIFEST.name, description)]))


def build_stub_iso(b: Build) -> None:
    """The ISO that tests of the boot logic use."""
    write_iso("stub", b.out)


def listings(provider: str) -> list[Path]:
    """What says where the parts come from."""
    return [MEDIA, userland.PARTS, payload_parts(provider)]


def own_parts(provider: str) -> list[Part]:
    """The files on the medium that were built here."""
    version = load_config().os.version
    files = {"kubesolo-os.gz": initramfs.initramfs(provider), **rootfs.layers(provider)}
    return [Part(name, "file", version, "this repository", digest(path), "") for name, path in files.items()]


def media_files(provider: str) -> list[Path]:
    """The files that the medium is put together from, and the audit that must have passed."""
    kernel = Files(load_config().kernel.flavour)
    images = rootfs.layers(provider).values()
    return [kernel.vmlinuz, kernel.audit, initramfs.initramfs(provider), *images, EFI_IMAGE]


def task_efi_image() -> dict[str, object]:
    """GRUB for UEFI."""
    return artifact(
        "efi-image",
        doc="FAT image with GRUB, for UEFI",
        build=build_efi,
        targets=[EFI_IMAGE],
        values={"epoch": load_config().os.epoch},
        tools=["tools", BOOT_SET],
    )


def task_iso() -> dict[str, object]:
    """The ISO."""
    config = load_config()
    name = file_name(config.os.version, "iso")
    return artifact(
        "iso",
        doc=f"output/{name}: boots from CD and USB, BIOS and UEFI",
        build=partial(build_iso, config.payload.provider, name),
        targets=[OUTPUT / name, CHECKSUMS, MANIFEST],
        files=[*media_files(config.payload.provider), *listings(config.payload.provider)],
        values={"epoch": config.os.epoch, "version": config.os.version},
        tools=[BOOT_SET],
        group="products",
    )
