"""What kind of machine an image of a medium starts, by the boot loader that its EFI file system names.

Source: Microsoft, FAT: General Overview of On-Disk Format, "FAT directory structure": a short name is eight
and three bytes in capitals, padded with blanks.
"""

from __future__ import annotations

import mmap
from pathlib import Path

from tasks.lib.arch import ARCHES
from tasks.lib.errors import BuildError

# Bytes within which it stands: it is the first partition of a disk.
LOOKED_AT = 512 << 20


def architecture(image: Path) -> str:
    """Debian's name of the architecture of an ISO or a disk image; BuildError when it is neither."""
    if image.stat().st_size:
        with image.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
            places = {
                name: content.find(short_name(row.efi_file), 0, LOOKED_AT) for name, row in ARCHES.items()
            }
        if found := [name for name, place in places.items() if place >= 0]:
            return min(found, key=lambda name: places[name])
    raise BuildError(f"{image}: no image that machines start from", "take an ISO or a disk image (.img)")


def check_architecture(image: Path, wanted: str) -> None:
    """BuildError when the image is for other machines."""
    found = architecture(image)
    if found != wanted:
        raise BuildError(
            f"{image.name} starts {found} machines, not {wanted}", f"--arch {found} says it is meant"
        )


def short_name(name: str) -> bytes:
    """As it stands in a directory."""
    base, _, extension = name.partition(".")
    return f"{base:<8}{extension:<3}".encode()
