"""GUID partition tables in plain files: libparted lays them out, sfdisk gives the GUIDs that are asked for.

Source: UEFI specification 2.10, chapter 5. libparted 3.6 can not set a partition's unique GUID.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from tasks.lib.debian import tools
from tasks.lib.errors import BuildError
from tasks.lib.process import run

SECTOR = 512
# Protective MBR, header and 128 entries; at the end the same without the MBR.
BEFORE = 34
BEHIND = 33
PROGRAM = Path(__file__).with_name("gpt_table.py")
SET = "parted"


@dataclass(frozen=True)
class Partition:
    """One partition; start and size in sectors of 512 bytes. flag: "", "esp" or "bios_grub"."""

    number: int
    name: str
    start: int
    size: int
    flag: str = ""

    @property
    def offset(self) -> int:
        """Where it begins, in bytes."""
        return self.start * SECTOR

    @property
    def length(self) -> int:
        """How long it is, in bytes."""
        return self.size * SECTOR


def write(path: Path, size: int, partitions: Iterable[Partition], guids: dict[int, uuid.UUID]) -> None:
    """Make a sparse file of `size` bytes with a partition table; same arguments, same bytes.

    partitions: in the order of their numbers, from 1 on without a gap. guids: by number, 0 is the disk's.
    Raises BuildError when one does not fit, or a program fails.
    """
    rows = list(partitions)
    for row in rows:
        if row.start < BEFORE or row.size < 1 or row.start + row.size > size // SECTOR - BEHIND:
            raise BuildError(f"partition {row.name} does not fit on a disk of {size} bytes")
    path.write_bytes(b"")
    os.truncate(path, size)
    wanted = {"path": str(path), "partitions": [asdict(row) for row in rows]}
    run([*tools.python(SET), PROGRAM, json.dumps(wanted)])
    sfdisk = [*tools.command("sfdisk"), "-q", "--no-tell-kernel"]
    for row in rows:
        run([*sfdisk, "--part-uuid", path, str(row.number), str(guids[row.number]).upper()])
    run([*sfdisk, "--disk-id", path, str(guids[0]).upper()])
