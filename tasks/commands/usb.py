"""Write the ISO or the disk image to a stick."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tasks.lib.boot import images, sticks
from tasks.lib.engine.command import Command, option
from tasks.lib.errors import BuildError
from tasks.lib.release.product import choose, named

DESCRIPTION = """\
Writes the ISO (or with --disk the disk image) to a stick or disk, and compares what can be read back. Refused
are disks that are mounted, swapped to or part of something, partitions, and disks that can not be pulled out
(unless --fixed), and images that start nothing or machines of another kind (unless --arch names that). All
that was on it is lost. --list shows the disks of this machine.
"""


class Plugin(Command):
    """Write a product to a stick."""

    doc_purpose = "write the ISO or the disk image to a USB stick"
    doc_description = DESCRIPTION
    cmd_options = (
        option("device", "", "the disk, such as /dev/sdb"),
        option("list", False, "show the disks, write nothing"),
        option("disk", False, "the disk image, not the ISO"),
        option("image", "", "another file; nothing is built then"),
        option("arch", "", "what the machine is that shall start from it [default: as in versions.toml]"),
        option("fixed", False, "also a disk that can not be pulled out"),
    )

    def execute(self, opt_values: Any, pos_args: list[str]) -> int:
        """Check the disk, build what is stale, write."""
        if opt_values["list"] or not opt_values["device"]:
            for disk in sticks.disks():
                print(disk)
            if not opt_values["list"]:
                raise BuildError("usb: which disk?", "name it with --device")
            return 0
        from rich.progress import Progress, TransferSpeedColumn

        from dodo import PRODUCTS, TARGET

        # Refused before anything is built.
        disk = sticks.choose(opt_values["device"], 0, fixed=opt_values["fixed"])
        product = named(PRODUCTS, "disk-image" if opt_values["disk"] else "iso")
        image = choose(product, opt_values["image"])
        images.check_architecture(image, opt_values["arch"] or TARGET.arch.name)
        disk = sticks.choose(opt_values["device"], image.stat().st_size, fixed=opt_values["fixed"])
        print(f"usb: {image.name} to {disk}")
        with Progress(*Progress.get_default_columns(), TransferSpeedColumn()) as progress:
            task = progress.add_task("write, then compare")
            sticks.write(
                image,
                Path("/dev", disk.name),
                lambda done, total: progress.update(task, completed=done, total=total),
            )
        print("usb: written and compared; the stick can be pulled out")
        return 0
