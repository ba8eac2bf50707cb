"""The boot menu of the media: one table of entries, and isolinux's configuration; grubmenu makes GRUB's."""

from __future__ import annotations

from dataclasses import dataclass

VOLUME_LABEL = "KUBESOLO"
KERNEL = "/boot/vmlinuz"
INITRAMFS = "/boot/kubesolo-os.gz"
GREETING = "isolinux/menu.txt"
# Prints the greeting: isolinux' own SAY and DISPLAY reach the screen only, this program the serial port too.
GREETER = ("cat.c32", "libcom32.c32")
TIMEOUT_SECONDS = 3
# After this time isolinux starts the first entry, whatever has been typed or has come over the line.
TOTAL_SECONDS = 25

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


ENTRIES = (
    Entry("kubesolo", "Start the node", f"{DATA} {SCREEN_LAST} quiet"),
    Entry("kubesolo-debug", "Start with every step traced", f"{DATA} {SERIAL_LAST} kubesolo.debug"),
    Entry("kubesolo-shell", "Emergency shell", f"{DATA} {SCREEN_LAST} kubesolo.shell"),
    Entry(
        "kubesolo-nopersist", "Start in RAM, keep nothing", f"{DATA} {SCREEN_LAST} quiet kubesolo.nopersist"
    ),
)


def isolinux_cfg(product: str, entries: tuple[Entry, ...] = ENTRIES) -> str:
    """isolinux.cfg (syslinux wiki, "Config"): a prompt at which a label and more parameters can be typed.

    TIMEOUT ends with the first byte that comes, from a person or from the line; TOTALTIMEOUT does not.
    """
    lines = [f"# {product}", "SERIAL 0 115200 0", "DEFAULT menu", f"TIMEOUT {TIMEOUT_SECONDS * 10}"]
    lines += [f"TOTALTIMEOUT {TOTAL_SECONDS * 10}", f"ONTIMEOUT {entries[0].label}"]
    lines += ["", "LABEL menu", f"  COM32 {GREETER[0]}", f"  APPEND /{GREETING}"]
    for entry in entries:
        lines += [
            "",
            f"LABEL {entry.label}",
            f"  KERNEL {KERNEL}",
            f"  INITRD {INITRAMFS}",
            f"  APPEND {entry.parameters}",
        ]
    return "\n".join(lines) + "\n"


def greeting(product: str, entries: tuple[Entry, ...] = ENTRIES) -> str:
    """The text above isolinux's prompt, in CP437, which is plain ASCII here."""
    width = max(len(entry.label) for entry in entries)
    rows = [f"{entry.label:{width}}   {entry.title}" for entry in entries]
    how = f"{entries[0].label} starts in {TIMEOUT_SECONDS} seconds; or type another name and Enter."
    rest = f"Parameters can follow the name. After {TOTAL_SECONDS} s {entries[0].label} starts in any case."
    return "\n".join(["", product, "", *rows, "", how, rest, "", ""])
