"""Architectures: everything that differs between processors, a row each."""

from __future__ import annotations

import platform
from dataclasses import dataclass

from tasks.lib.errors import BuildError


@dataclass(frozen=True)
class Arch:
    """One kind of processor, of a machine that is built for or of the one that builds.

    name: Debian's; machine: the kernel's (uname -m); triplet: of its library folder; loader: the dynamic
    loader's file name. go: GOARCH and what narrows it. qemu: its emulator; qemu_machine: the board.
    efi_file: what firmware starts from removable media (UEFI 2.10, 3.5.1.1). grub_efi, grub_bios: GRUB's
    platforms; "" where a machine has no BIOS. bcj: xz' filter for its programs. serial: its first port.
    """

    name: str
    machine: str
    triplet: str
    loader: str
    go: tuple[tuple[str, str], ...]
    qemu: str
    qemu_machine: str
    efi_file: str
    grub_efi: str
    grub_bios: str
    bcj: str
    serial: str

    @property
    def bios(self) -> bool:
        """Whether machines of this kind may start from a BIOS."""
        return bool(self.grub_bios)

    @property
    def libraries(self) -> str:
        """The folder of its shared libraries, in the merged /usr."""
        return f"usr/lib/{self.triplet}"


AMD64 = Arch(
    name="amd64",
    machine="x86_64",
    triplet="x86_64-linux-gnu",
    loader="ld-linux-x86-64.so.2",
    go=(("GOARCH", "amd64"), ("GOAMD64", "v1")),
    qemu="qemu-system-x86_64",
    qemu_machine="q35",
    efi_file="BOOTX64.EFI",
    grub_efi="x86_64-efi",
    grub_bios="i386-pc",
    bcj="x86",
    serial="ttyS0",
)
ARM64 = Arch(
    name="arm64",
    machine="aarch64",
    triplet="aarch64-linux-gnu",
    loader="ld-linux-aarch64.so.1",
    go=(("GOARCH", "arm64"), ("GOARM64", "v8.0")),
    qemu="qemu-system-aarch64",
    qemu_machine="virt",
    efi_file="BOOTAA64.EFI",
    grub_efi="arm64-efi",
    grub_bios="",
    bcj="arm64",
    serial="ttyAMA0",
)
ARCHES = {arch.name: arch for arch in (AMD64, ARM64)}
# The machine that builds: tools are locked for it alone.
HOST = AMD64


def arch(name: str) -> Arch:
    """The row of an architecture by Debian's name; BuildError when there is none."""
    if name not in ARCHES:
        raise BuildError(f"architecture {name!r} is unknown", f"known: {', '.join(ARCHES)}")
    return ARCHES[name]


def is_host(row: Arch) -> bool:
    """Whether this machine runs programs of that architecture by itself."""
    return platform.machine() == row.machine
