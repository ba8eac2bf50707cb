"""The Live CD itself: one squashfs a layer, GRUB for BIOS and UEFI, the initramfs, on a hybrid ISO."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from tasks import iso, live, liveinit, parts
from tasks.lib.arch import Arch
from tasks.lib.boot import grub, grubmenu, livemenu
from tasks.lib.engine import Build, artifact
from tasks.lib.engine.spec import relative
from tasks.lib.formats import iso9660, squashfs
from tasks.lib.formats.hybrid import make_hybrid
from tasks.lib.formats.squashfs import Compression
from tasks.lib.formats.tree import Tree
from tasks.lib.provider import read_parts
from tasks.lib.release import sbom
from tasks.lib.release.description import Origin, describe
from tasks.lib.release.manifest import digest
from tasks.lib.release.product import Product
from tasks.lib.target import Target
from tasks.parts import BOOT_SET

# Read while the system starts: zstd is read several times faster than xz, which would be a fifth smaller.
PACKING = Compression("zstd", 1024, level=17)
# Little, and what is edited most.
PACKINGS = {"config": Compression("zstd", 128)}
BOOT = iso9660.Boot("boot/grub/cd.img", "boot/grub/efi.img")


def image(target: Target, layer: str) -> Path:
    """The squashfs image of a layer."""
    return live.folder(target) / f"live-{layer}.squashfs"


def images(target: Target) -> dict[str, Path]:
    """All of them by their names on the medium, lowest first."""
    found = [image(target, layer) for layer in live.LAYERS]
    return {path.name: path for path in found}


def start(target: Target) -> Path:
    """The medium's initramfs."""
    return live.folder(target) / "k8s-live.gz"


def loader(target: Target, name: str) -> Path:
    """GRUB for UEFI (efi.img) or for BIOS (cd.img)."""
    return live.folder(target) / name


def build_image(layer: Path, packing: Compression, b: Build) -> None:
    """Pack a layer."""
    tree = Tree()
    tree.add_tar(layer)
    squashfs.write(tree, b.out, b.epoch, packing, b.scratch)


def build_cd(arch: Arch, b: Build) -> None:
    """What a BIOS starts from the CD: GRUB, which goes on with grub.cfg on the medium."""
    grub.write_cd_image(b.out, grubmenu.grub_early_cfg(livemenu.VOLUME_LABEL), arch, b.scratch)


def build_efi(arch: Arch, b: Build) -> None:
    """The same for UEFI."""
    iso.build_efi(arch, b, livemenu.VOLUME_LABEL)


@dataclass(frozen=True)
class Content:
    """What is on the medium. images: by name, lowest layer first; bios, efi: what firmware starts."""

    kernel: Path
    start: Path
    images: tuple[tuple[str, Path], ...]
    bios: Path
    efi: Path

    def files(self) -> list[Path]:
        """All of it, for a task that depends on it."""
        return [self.kernel, self.start, *dict(self.images).values(), self.bios, self.efi]


def content(target: Target) -> Content:
    """That of a target's Live CD."""
    found = tuple(images(target).items())
    loaders = (loader(target, "cd.img"), loader(target, "efi.img"))
    return Content(live.vmlinuz(target), start(target), found, *loaders)


def medium(content: Content, title: str) -> Tree:
    """Everything on the medium."""
    tree = Tree()
    tree.add_file(livemenu.KERNEL, content.kernel)
    tree.add_file(livemenu.INITRAMFS, content.start)
    for name, path in content.images:
        tree.add_file(f"boot/{name}", path)
    tree.add_file(BOOT.bios, content.bios)
    tree.add_file(BOOT.efi, content.efi)
    tree.add_file("boot/grub/grub.cfg", livemenu.grub_cfg(title))
    return tree


def write_iso(tree: Tree, start: Path, arch: Arch, b: Build) -> None:
    """Write the hybrid ISO. start: holds the digests of all images, so that it stands for the product."""
    layout = iso9660.write(tree, b.out, livemenu.VOLUME_LABEL, BOOT, b.epoch)
    sector = grub.place_cd_image(b.out, layout.isolinux)
    make_hybrid(b.out, grub.hybrid_code(arch), replace(layout, isolinux=sector), bytes.fromhex(digest(start)))


def build_iso(content: Content, arch: Arch, origin: Origin, name: str, b: Build) -> None:
    """The product, and what describes it."""
    tree = medium(content, f"{live.NAME} {b.values['version']}")
    write_iso(tree, content.start, arch, b)
    describe(b, name, origin, {content.start.name: content.start, **dict(content.images)}, live.ID)


def build_sbom(listings: tuple[Path, ...], b: Build) -> None:
    """The bill of materials, but for the file that is handed out."""
    found = [part for listing in listings for part in read_parts(listing)]
    version, architecture = b.values["version"], b.values["architecture"]
    b.out.write_text(sbom.template(found, version, architecture, b.epoch, (live.ID, live.NAME)))


def product(target: Target) -> Product:
    """The Live CD of a target."""
    return Product("live-iso", target, "iso", live.ID)


def origin(target: Target) -> Origin:
    """Where its parts come from."""
    return Origin((*live.parts(target), parts.loaders(target)), live.folder(target) / "spdx.json")


def image_tasks(target: Target) -> Iterator[dict[str, object]]:
    """One image a layer."""
    for name in live.LAYERS:
        yield artifact(
            target.task(f"live-image-{name}"),
            doc=f"Live CD: image of the layer {name}",
            build=partial(build_image, live.layer(target, name), PACKINGS.get(name, PACKING)),
            targets=[image(target, name)],
            files=[live.layer(target, name)],
            values={"epoch": target.epoch},
            tools=["tools"],
            group=target.group,
        )


def loader_tasks(target: Target) -> Iterator[dict[str, object]]:
    """GRUB for both kinds of firmware."""
    for name, recipe, doc in (("efi.img", build_efi, "UEFI"), ("cd.img", build_cd, "BIOS")):
        yield artifact(
            target.task(f"live-{name.partition('.')[0]}-image"),
            doc=f"Live CD: GRUB for {doc}",
            build=partial(recipe, target.arch),
            targets=[loader(target, name)],
            values={"epoch": target.epoch},
            tools=["tools", BOOT_SET],
            group=target.group,
        )


def tasks(target: Target) -> Iterator[dict[str, object]]:
    """The images, the boot loaders, the initramfs and the ISO."""
    yield from image_tasks(target)
    yield from loader_tasks(target)
    on_it, made, from_ = content(target), product(target), origin(target)
    yield artifact(
        target.task("live-initramfs"),
        doc="Live CD: init, and digests of the images",
        build=partial(liveinit.build_initramfs, liveinit.segment(target), on_it.images),
        targets=[start(target)],
        files=[liveinit.segment(target), *dict(on_it.images).values()],
        trees=liveinit.TREES,
        values={"epoch": target.epoch},
        tools=["tools"],
        group=target.group,
    )
    yield artifact(
        target.task("live-sbom"),
        doc="Live CD: its parts as an SPDX document",
        build=partial(build_sbom, from_.listings),
        targets=[from_.sbom],
        files=from_.listings,
        values=target.description(),
        group=target.group,
    )
    yield artifact(
        made.task,
        doc=f"{relative(made.path)}: Debian with kubeadm, from CD and USB, BIOS and UEFI",
        build=partial(build_iso, on_it, target.arch, from_, made.path.name),
        targets=made.files(),
        files=[*on_it.files(), *from_.files()],
        values=target.description(),
        tools=[BOOT_SET],
        group=made.group,
    )
