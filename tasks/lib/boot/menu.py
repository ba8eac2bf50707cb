"""The boot menu of the media: its entries. isolinux and grubmenu say them in the syntax of a boot loader."""

from __future__ import annotations

from dataclasses import dataclass

VOLUME_LABEL = "KUBESOLO"
KERNEL = "/boot/vmlinuz"
INITRAMFS = "/boot/kubesolo-os.gz"
TIMEOUT_SECONDS = 3

DATA = "kubesolo.data=LABEL=KSOLODATA"
# The kernel logs to both; /dev/console, where a shell would be, is the last one.
SCREEN_LAST = "console=ttyS0,115200n8 console=tty0"
SERIAL_LAST = "console=tty0 console=ttyS0,115200n8"


@dataclass(frozen=True)
class Entry:
    """One line of the menu: label as typed, what it is for, and the kernel's command line."""

    label: str
    title: str
    parameters: str


def usual_entries(first: str) -> tuple[Entry, ...]:
    """The ways to start that every medium has; first: the parameters that all of them begin with."""
    quiet = f"{first} {SCREEN_LAST} quiet"
    return (
        Entry("kubesolo", "Start the node", quiet),
        Entry("kubesolo-debug", "Start with every step traced", f"{first} {SERIAL_LAST} kubesolo.debug"),
        Entry("kubesolo-shell", "Emergency shell", f"{first} {SCREEN_LAST} kubesolo.shell"),
        Entry("kubesolo-nopersist", "Start in RAM, keep nothing", f"{quiet} kubesolo.nopersist"),
    )


ENTRIES = (
    *usual_entries(DATA),
    Entry(
        "kubesolo-install",
        "Install to a disk; asks to which",
        f"{DATA} {SCREEN_LAST} quiet kubesolo.install=ask",
    ),
)
