"""isolinux's configuration: the entries of the boot menu at a prompt."""

from __future__ import annotations

from tasks.lib.boot.menu import ENTRIES, INITRAMFS, KERNEL, TIMEOUT_SECONDS, Entry

GREETING = "isolinux/menu.txt"
# Prints the greeting: isolinux' own SAY and DISPLAY reach the screen only, this program the serial port too.
GREETER = ("cat.c32", "libcom32.c32")
# After this time isolinux starts the first entry, whatever has been typed or has come over the line.
TOTAL_SECONDS = 25


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
