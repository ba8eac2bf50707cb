"""Which slot starts next: the boot environment on the disk's first partition (boot/slots.cfg)."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agent import grubenv
from agent.grubenv import GrubenvError
from agent.update.errors import UpdateError
from agent.update.slot import WORK, Disk

GRUBENV = "grub/grubenv"
FAILURE = "grub/failure.txt"
TRIAL = "trial"
# What a fall-back leaves, and the end of what is known about the last trial.
LEFTOVERS = ("fallback_from", "fallback_reason", "fallback_seen", TRIAL)


@contextmanager
def environment(root: Path, disk: Disk) -> Iterator[Path]:
    """The first partition's file system; raises UpdateError when it can not be mounted."""
    point = root / WORK / "esp"
    os.makedirs(point, exist_ok=True)
    options = "rw,nosuid,nodev,noexec,noatime"
    device = str(root / "dev" / disk.partitions[1])
    mount = ["mount", "-t", "vfat", "-o", options, device, str(point)]
    if subprocess.run(mount, stdin=subprocess.DEVNULL, check=False).returncode:
        raise UpdateError(f"the boot environment on {device} cannot be mounted")
    try:
        yield point
    finally:
        subprocess.run(["umount", str(point)], stdin=subprocess.DEVNULL, check=False)


def variables(point: Path) -> dict[str, str]:
    """The environment; empty when it is damaged."""
    try:
        return grubenv.read(point / GRUBENV)
    except (OSError, GrubenvError):
        return {}


def on_trial(values: dict[str, str]) -> bool:
    """Whether the active slot has not been confirmed yet."""
    return values.get("boot_success") == "0"


def put_on_trial(point: Path, slot: str, version: str) -> None:
    """Start a slot at the next boot, three times at most; raises UpdateError."""
    try:
        values = {
            name: value for name, value in grubenv.read(point / GRUBENV).items() if name not in LEFTOVERS
        }
        values.update(active_slot=slot, boot_counter="3", boot_success="0", **{TRIAL: version[:64]})
        grubenv.write(point / GRUBENV, values)
    except (OSError, GrubenvError) as error:
        raise UpdateError(f"the boot environment cannot be written: {error}") from error
    (point / FAILURE).unlink(missing_ok=True)


def failure(point: Path) -> dict[str, str]:
    """What the failed slot has left about its end: slot, stage, reason; and the last lines of its log."""
    try:
        text = (point / FAILURE).read_bytes()[-16384:].decode(errors="replace")
    except OSError:
        return {}
    about, _, log = text.partition("\n\n")
    found = dict(line.split("=", 1) for line in about.splitlines() if "=" in line)
    return {**found, "log": log.strip()}
