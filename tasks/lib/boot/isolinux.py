"""isolinux's configuration: the entries of the boot menu at a prompt."""

from __future__ import annotations

from tasks.lib.boot.menu import ENTRIES, INITRAMFS, KERNEL, TIMEOUT_SECONDS, Entry

GREETING = "isolinux/menu.txt"
# Prints the greeting: isolinux' own SAY and DISPLAY reach the screen only, this program the serial port too.
GREETER = ("cat.c32", "libcom32.c32")
# After this time isolinux starts the first entry, whatever has been typed or has come over the line.
TOTAL_SECONDS = 25


PROMPT = "isolinux/prompt.cfg"
# The greeting is read in no time; then the prompt comes.
GREETED_SECONDS = 1


def greeting_cfg(product: str, entries: tuple[Entry, ...] = ENTRIES) -> str:
    """isolinux.cfg (syslinux wiki, "Config"): prints the greeting, and goes on with PROMPT.

    The greeter starts isolinux anew, with this file and all its timers: at the prompt itself it must not be
    the default, or each empty line would give the prompt its time anew. Whoever types as soon as the greeting
    is there is still with this file, so it knows the entries too.
    """
    end = GREETED_SECONDS * 10
    lines = [f"# {product}", "SERIAL 0 115200 0", "DEFAULT menu", "TIMEOUT 1", f"TOTALTIMEOUT {end}"]
    lines += ["ONTIMEOUT prompt", "", "LABEL menu", f"  COM32 {GREETER[0]}", f"  APPEND /{GREETING}"]
    lines += ["", "LABEL prompt", f"  CONFIG /{PROMPT}"]
    return "\n".join([*lines, *labels(entries)]) + "\n"


def prompt_cfg(product: str, entries: tuple[Entry, ...] = ENTRIES) -> str:
    """A prompt at which a label and more parameters can be typed; Enter alone starts the first entry.

    TIMEOUT ends with the first byte that comes, from a person or from the line; TOTALTIMEOUT does not.
    """
    lines = [f"# {product}", "SERIAL 0 115200 0", f"DEFAULT {entries[0].label}", "PROMPT 1"]
    lines += [f"TIMEOUT {TIMEOUT_SECONDS * 10}", f"TOTALTIMEOUT {TOTAL_SECONDS * 10}"]
    return "\n".join([*lines, *labels(entries)]) + "\n"


def labels(entries: tuple[Entry, ...]) -> list[str]:
    """The lines that define the entries, each after an empty one."""
    lines = []
    for entry in entries:
        lines += ["", f"LABEL {entry.label}", f"  KERNEL {KERNEL}", f"  INITRD {INITRAMFS}"]
        lines.append(f"  APPEND {entry.parameters}")
    return lines


def greeting(product: str, entries: tuple[Entry, ...] = ENTRIES) -> str:
    """The text above isolinux's prompt, in CP437, which is plain ASCII here."""
    width = max(len(entry.label) for entry in entries)
    rows = [f"{entry.label:{width}}   {entry.title}" for entry in entries]
    how = f"{entries[0].label} starts in {TIMEOUT_SECONDS} seconds; or type another name and Enter."
    rest = f"Parameters can follow the name. After {TOTAL_SECONDS} s {entries[0].label} starts in any case."
    return "\n".join(["", product, "", *rows, "", how, rest, "", ""])
