"""The boot menu of the Live CD: GRUB's, for BIOS and UEFI, with the countdowns of the other media."""

from __future__ import annotations

from tasks.lib.boot import grubmenu
from tasks.lib.boot.menu import Entry

VOLUME_LABEL = "K8SLIVECD"
KERNEL = "/boot/vmlinuz"
INITRAMFS = "/boot/k8s-live.gz"
# systemd starts a login on each; its messages go to the last one.
CONSOLES = "console=tty0 console=ttyS0,115200n8"

# Every line on a serial port costs time; systemd says what goes wrong all the same.
QUIET = f"{CONSOLES} quiet"

ENTRIES = (
    Entry("live", "Start; what is written is kept on a disk", QUIET),
    Entry("live-ram", "Start in RAM, keep nothing", f"{QUIET} live.disk=none"),
    Entry("live-check", "Start, but check the medium first", f"{QUIET} live.check"),
    Entry("live-verbose", "Start, with all messages", CONSOLES),
    Entry("live-shell", "A shell before systemd starts", f"{QUIET} live.shell"),
)


def from_medium(entry: Entry) -> list[str]:
    """The commands that load an entry's kernel. By the old protocol an emulated BIOS starts it 2 s sooner."""
    return [
        "set linux=linux",
        "set initrd=initrd",
        *grubmenu.block_if('"$grub_platform" = pc', ["set linux=linux16", "set initrd=initrd16"]),
        f"$linux {KERNEL} {entry.parameters}",
        f"$initrd {INITRAMFS}",
    ]


def grub_cfg(product: str) -> str:
    """grub.cfg of the medium; product: such as Kubernetes Live CD 0.1.0."""
    return grubmenu.grub_cfg(product, ENTRIES, from_medium)
