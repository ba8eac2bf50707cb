"""Write the ISO or the disk image to a stick."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from tasks.lib.boot import sticks
from tasks.lib.engine.command import Command
from tasks.lib.errors import BuildError
from tasks.lib.release.product import choose, named

DESCRIPTION = """\
Writes the ISO (or with --disk the disk image) to a stick or disk, and compares what can be read back. Refused
are disks that are mounted, swapped to or part of something, partitions, and disks that can not be pulled out
(unless --fixed). All that was on it is lost. --list shows the disks of this machine.
"""
OPTIONS = (
    {"name": "device", "long": "device", "type": str, "default": "", "help": "the disk, such as /dev/sdb"},
    {"name": "list", "long": "list", "type": bool, "default": False, "help": "show the disks, write nothing"},
    {"name": "disk", "long": "disk", "type": bool, "default": False, "help": "the disk image, not the ISO"},
    {"name": "image", "long": "image", "type": str, "default": "",
     "help": "another file; nothing is built then"},
    {"name": "fixed", "long": "fixed", "type": bool, "default": False,
     "help": "also a disk that can not be pulled out"},
)  # fmt: skip


class Plugin(Command):
    """Write a product to a stick."""

    name = "usb"
    doc_purpose = "write the ISO or the disk image to a USB stick"
    doc_usage = ""
    doc_description = DESCRIPTION  # type: ignore[assignment]
    cmd_options = OPTIONS

    def execute(self, opt_values: Any, pos_args: list[str]) -> int:
        """Check the disk, build what is stale, write."""
        if pos_args:
            raise BuildError(f"usb: takes no argument: {pos_args[0]}", "name the disk with --device")
        if opt_values["list"] or not opt_values["device"]:
            for disk in sticks.disks():
                print(disk)
            if not opt_values["list"]:
                raise BuildError("usb: which disk?", "name it with --device")
            return 0
        from dodo import PRODUCTS

        # Refused before anything is built.
        disk = sticks.choose(opt_values["device"], 0, fixed=opt_values["fixed"])
        product = named(PRODUCTS, "disk-image" if opt_values["disk"] else "iso")
        image = choose(product, opt_values["image"])
        disk = sticks.choose(opt_values["device"], image.stat().st_size, fixed=opt_values["fixed"])
        print(f"usb: {image.name} to {disk}")
        sticks.write(image, Path("/dev", disk.name), Progress())
        print("usb: written and compared; the stick can be pulled out")
        return 0


class Progress:
    """Per cent, speed and time left, once a second."""

    def __init__(self) -> None:
        self.began = self.said = time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        """Say how far it is."""
        now = time.monotonic()
        if now - self.said < 1 and done < total:
            return
        self.said = now
        speed = done / max(now - self.began, 0.001)
        left = (total - done) / max(speed, 1)
        print(f"  {100 * done // total} %, {speed / 1e6:.1f} MB/s, {left:.0f} s left", file=sys.stderr)
