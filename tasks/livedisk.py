"""The Live CD's roots as disks that boot alone: GRUB for BIOS and UEFI, one partition for the root."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from tasks import live, liveinit, liverootfs
from tasks.diskboot import CORE_SECTOR
from tasks.lib.arch import Arch
from tasks.lib.boot import grub, grubmenu, livemenu
from tasks.lib.boot.menu import Entry
from tasks.lib.debian import tools
from tasks.lib.engine import Build, artifact
from tasks.lib.engine.spec import relative
from tasks.lib.formats import ext4, fat, gpt
from tasks.lib.formats.gpt import Partition
from tasks.lib.formats.hybrid import guid
from tasks.lib.formats.tree import Tree
from tasks.lib.process import run
from tasks.lib.target import Target
from tasks.parts import BOOT_SET

MIB = 2048  # sectors
LABEL = "K8SROOT"
SIZE = 8 << 30
LAYOUT = (
    Partition(1, "K8SEFI", 2 * MIB, 64 * MIB, "esp"),
    # The last on the disk, so that it can grow with it; cloud-init has it do so.
    Partition(2, LABEL, 66 * MIB, SIZE // gpt.SECTOR - 67 * MIB),
    Partition(3, "K8SBIOS", CORE_SECTOR, MIB, "bios_grub"),
)
ROOT = 2
SALT = b"k8s-livecd disk "
KERNEL, INITRAMFS = "boot/vmlinuz", "boot/initramfs.gz"
START = f"{livemenu.CONSOLES} live.root=LABEL={LABEL}"
ENTRIES = (
    Entry("k8s", "Start", START),
    Entry("k8s-shell", "A shell before systemd starts", f"{START} live.shell"),
)


def from_disk(entry: Entry) -> list[str]:
    """The commands that load an entry's kernel from the disk that GRUB was started from."""
    return [
        "regexp --set=1:disk '^([a-z0-9]+),' \"$root\"",
        f'set root="$disk,gpt{ROOT}"',
        f"linux /{KERNEL} {entry.parameters}",
        f"initrd /{INITRAMFS}",
    ]


def boot_partition(arch: Arch, title: str, scratch: Path) -> Tree:
    """GRUB for UEFI and its configuration, which GRUB for BIOS reads, too."""
    program, tree = scratch / arch.efi_file, Tree()
    grub.write_disk_image(program, arch)
    tree.add_file(f"EFI/BOOT/{arch.efi_file}", program)
    tree.add_file("grub/grub.cfg", grubmenu.grub_cfg(title, ENTRIES, from_disk))
    return tree


def write_disk(root: Tree, arch: Arch, title: str, image: Path, b: Build) -> None:
    """Write the disk as a sparse file; same root, same bytes."""
    identity = SALT + title.encode()
    guids = {number: guid(identity, f"disk {number}") for number in range(len(LAYOUT) + 1)}
    gpt.write(image, SIZE, LAYOUT, guids)
    esp = LAYOUT[0]
    tree = boot_partition(arch, title, b.scratch)
    fat.write_at(tree, image, (esp.offset, esp.length), b.epoch, guids[1].fields[0], esp.name, b.scratch)
    row = LAYOUT[ROOT - 1]
    ext4.write(image, ext4.Shape(LABEL, guids[ROOT], row.offset, row.length), b.epoch, b.scratch, root)
    if arch.bios:
        core = b.scratch / "core.img"
        grub.write_core(core, arch, CORE_SECTOR)
        with image.open("r+b") as stream:
            stream.write(grub.boot_code(arch, CORE_SECTOR))
            stream.seek(CORE_SECTOR * gpt.SECTOR)
            stream.write(core.read_bytes())


def build(start: tuple[Path, Path], arch: Arch, name: str, layers: Sequence[Path], b: Build) -> None:
    """The root of these layers, with kernel and initramfs, as a compressed disk image.

    start: kernel and initramfs.
    """
    folders = () if len(layers) > 1 else (liverootfs.FILES,)
    root = liverootfs.joined(layers, folders)
    for path, source in zip((KERNEL, INITRAMFS), start, strict=True):
        root.add_file(path, source)
    image = b.scratch / "disk.img"
    write_disk(root, arch, f"{live.NAME}: {name} {b.values['version']}", image, b)
    # One at a time, or the order of clusters would be another one each time.
    words = ["convert", "-f", "raw", "-O", "qcow2", "-c", "-o", "compression_type=zstd", "-m", "1"]
    run([*tools.command("qemu-img", set="qemu"), *words, image, b.out])


def tasks(target: Target) -> Iterator[dict[str, object]]:
    """A disk for each of the two roots."""
    start = (live.vmlinuz(target), liveinit.disk_initramfs(target))
    layers = tuple(live.layer(target, name) for name in live.LAYERS)
    for name, used, folders in (
        ("rootfs", layers[:1], [liverootfs.FILES]),
        ("rootfs-k8s", layers, []),
    ):
        out = liverootfs.output(target, f"{name}.qcow2")
        yield artifact(
            target.task(f"live-{name}-disk"),
            doc=f"{relative(out)}: that root as a disk, BIOS and UEFI",
            build=partial(build, start, target.arch, name, used),
            targets=[out],
            files=[*start, *used, gpt.PROGRAM],
            trees=folders,
            values={"epoch": target.epoch, "version": target.version},
            tools=["tools", "qemu", gpt.SET, BOOT_SET],
            group="products",
        )
