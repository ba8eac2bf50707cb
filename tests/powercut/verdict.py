"""What becomes of a disk with slots after a power cut: which slot starts, and whether it is whole."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

from agent import grubenv
from agent.grubenv import GrubenvError
from agent.update import state
from agent.update.manifest import KERNEL
from agent.update.slot import LIST, NUMBERS, OTHER
from tasks.diskimage import LAYOUT
from tasks.lib.debian import tools
from tasks.lib.release.manifest import digest
from tests.powercut import slotdisk, states


@dataclass(frozen=True)
class Verdict:
    """starts: the slot that GRUB takes next; versions: of the slots that would start, by slot."""

    starts: str
    versions: dict[str, str]
    phase: str


def judge(disk: Path, scratch: Path, kept: dict[str, bytes]) -> Verdict:
    """AssertionError when the disk would not start a whole slot, or when something on its data is lost.

    kept: files of the data partition that must be there.
    """
    starts, success = chosen(disk, scratch)
    versions = {slot: version for slot in NUMBERS if (version := whole(disk, slot, scratch))}
    assert starts in versions, f"slot {starts} starts and is not whole: {versions}"
    if success == "0":
        assert OTHER[starts] in versions, f"slot {starts} is on trial, and there is no way back: {versions}"
    data = slotdisk.extract(disk, slotdisk.DATA_OFFSET, scratch / "data")
    assert states.check(data) < 4, "the file system for data is damaged"
    for name, content in kept.items():
        assert states.read(data, name, scratch) == content, f"{name} is lost"
    record = states.read(data, f"/{state.PLACE.removeprefix('mnt/data/')}", scratch)
    phase = json.loads(record)["phase"] if record is not None else ""
    assert phase in ("", *state.PHASES)
    return Verdict(starts, versions, phase)


def chosen(disk: Path, scratch: Path) -> tuple[str, str]:
    """The slot that boot/slots.cfg takes, and boot_success; as its script decides, in Python."""
    values = environment(disk, "grub/grubenv", scratch)
    active, counter, success = (values.get(name) for name in ("active_slot", "boot_counter", "boot_success"))
    if active not in NUMBERS or counter not in ("0", "1", "2", "3") or success not in ("0", "1"):
        good = environment(disk, "grub/grubenv.good", scratch).get("good_slot")
        return ("B" if good == "B" else "A"), "1"
    if counter == "0":
        return OTHER[active], "1"
    return active, success


def environment(disk: Path, name: str, scratch: Path) -> dict[str, str]:
    """An environment block; empty when it is damaged."""
    try:
        return grubenv.parse(slotdisk.esp_file(disk, name, scratch) or b"")
    except GrubenvError:
        return {}


def whole(disk: Path, slot: str, scratch: Path) -> str:
    """The version of a slot that has a kernel and whose files are as its list says; "" when not."""
    folder = scratch / f"slot-{slot}"
    subprocess.run(["rm", "-rf", str(folder)], check=True)
    folder.mkdir()
    place = f"{disk}?offset={LAYOUT[NUMBERS[slot] - 1].offset}"
    subprocess.run(
        [*tools.command("debugfs"), "-R", f"rdump / {folder}", place],
        stdin=subprocess.DEVNULL, capture_output=True, timeout=120, check=False,
    )  # fmt: skip
    try:
        about = json.loads((folder / LIST).read_bytes())
        rows = about["files"]
    except (OSError, ValueError, KeyError):
        return ""
    for name, row in rows.items():
        try:
            if digest(folder / name) != row["sha256"]:
                return ""
        except OSError:
            return ""
    return str(about["version"]) if KERNEL in rows else ""
