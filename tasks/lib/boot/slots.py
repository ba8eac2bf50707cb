"""The boot menu of a disk with two slots: the entries, and what GRUB is told to do for each."""

from __future__ import annotations

from pathlib import Path

from tasks.lib.boot.grubmenu import grub_cfg
from tasks.lib.boot.menu import DATA, SCREEN_LAST, Entry, usual_entries
from tasks.lib.paths import TOP

SCRIPT = TOP / "boot" / "slots.cfg"
STATE = {"active_slot": "A", "boot_counter": "3", "boot_success": "1"}
SECOND_STATE = {"good_slot": "A"}
# panic: a kernel that has given up starts over, and GRUB counts. gpt: a partition table whose first copy a
# power cut has torn is read from its second one (Linux, Documentation/admin-guide/kernel-parameters.txt).
SLOT = f"{DATA} panic=10 gpt"
ENTRIES = (
    *usual_entries(SLOT),
    Entry("kubesolo-a", "Start slot A, whatever the counter says", f"{SLOT} {SCREEN_LAST} quiet"),
    Entry("kubesolo-b", "Start slot B, whatever the counter says", f"{SLOT} {SCREEN_LAST} quiet"),
)
# How each entry is started; the others are not counted.
COMMANDS = {
    "kubesolo": "start_counted",
    "kubesolo-debug": "start_counted",
    "kubesolo-a": "start_named A",
    "kubesolo-b": "start_named B",
}


def from_slot(entry: Entry) -> list[str]:
    """The commands that start an entry."""
    return [f'{COMMANDS.get(entry.label, "start_uncounted")} "{entry.parameters}"']


def disk_cfg(product: str, script: Path = SCRIPT) -> str:
    """grub.cfg of the disk's first partition; script: the functions that choose a slot."""
    return grub_cfg(product, ENTRIES, from_slot, script.read_text())
