"""Make an ISO bootable when it is written raw to a stick: MBR code for BIOS, a GUID partition table for UEFI.

Sources: UEFI specification 2.10, chapter 5 (GPT, protective MBR); syslinux' isohdpfx.bin, which loads
isolinux from the sector that stands at offset 432 of its own MBR.
"""

from __future__ import annotations

import hashlib
import struct
import uuid
import zlib
from dataclasses import dataclass
from pathlib import Path

from tasks.lib.errors import BuildError

SECTOR = 512
ALIGNMENT = 64 << 10
ENTRIES = 128
ENTRY_SIZE = 128
TABLE_SECTORS = ENTRIES * ENTRY_SIZE // SECTOR
# The ISO's own volume descriptors begin here (ECMA-119, 6.2.1).
FIRST_USABLE = 64
# "Linux reserved": no system offers to format it.
CONTENT_TYPE = uuid.UUID("8da63339-0007-60c0-c436-083ac8230908")
ESP_TYPE = uuid.UUID("c12a7328-f81f-11d2-ba4b-00a0c93ec93b")
MBR_CODE_MAX = 432
SYSTEM_AREA = 32768


@dataclass(frozen=True)
class Layout:
    """Where things lie on the ISO, in sectors of 512 bytes.

    isolinux: first sector of isolinux.bin. esp_start, esp_size: the FAT image with the UEFI boot loader.
    """

    isolinux: int
    esp_start: int
    esp_size: int


def make_hybrid(image: Path, mbr_code: bytes, layout: Layout, identity: bytes) -> None:
    """Write MBR and both GPTs into a finished ISO, in place; the ISO grows to whole 64 KiB.

    identity: bytes from which the disk's and partition's GUIDs and the MBR's disk signature are derived.
    Raises BuildError when the boot code does not fit or the ISO's system area is in use.
    """
    if len(mbr_code) > MBR_CODE_MAX:
        raise BuildError(f"the MBR boot code has {len(mbr_code)} bytes, more than {MBR_CODE_MAX}")
    with image.open("r+b") as stream:
        if any(stream.read(SYSTEM_AREA)):
            raise BuildError(f"{image}: its system area is not empty")
        content = stream.seek(0, 2)
        sectors = -(-(content + (TABLE_SECTORS + 1) * SECTOR) // ALIGNMENT) * ALIGNMENT // SECTOR
        disk = guid(identity, "disk")
        table = partition_table(layout, sectors, identity)
        stream.truncate(sectors * SECTOR)
        stream.seek(0)
        stream.write(mbr(mbr_code, layout, disk.bytes[:4], sectors))
        stream.write(gpt_header(disk, table, sectors, primary=True) + table)
        stream.seek((sectors - TABLE_SECTORS - 1) * SECTOR)
        stream.write(table + gpt_header(disk, table, sectors, primary=False))


def guid(identity: bytes, purpose: str) -> uuid.UUID:
    """A GUID that only identity and purpose decide (RFC 9562, version 8)."""
    digest = bytearray(hashlib.sha256(purpose.encode() + b"\0" + identity).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x80
    digest[8] = digest[8] & 0x3F | 0x80
    return uuid.UUID(bytes=bytes(digest))


def mbr(code: bytes, layout: Layout, signature: bytes, sectors: int) -> bytes:
    """A protective MBR with boot code.

    The second entry is empty but marked active: some BIOSes boot no disk without an active entry, and the
    specification wants the protective one not to be.
    """
    protective = struct.pack("<B3sB3sLL", 0, b"\x00\x02\x00", 0xEE, b"\xff\xff\xff", 1, sectors - 1)
    active = struct.pack("<B3sB3sLL", 0x80, b"\x00\x01\x00", 0, b"\x00\x01\x00", 0, 1)
    boot = struct.pack("<Q4sH", layout.isolinux, signature, 0)
    return code.ljust(MBR_CODE_MAX, b"\0") + boot + protective + active + bytes(32) + b"\x55\xaa"


def partition_table(layout: Layout, sectors: int, identity: bytes) -> bytes:
    """The array of GPT entries: the EFI system partition, and what lies before and behind it on the ISO.

    Nothing of the ISO is free: a partition that is added on a stick comes behind it.
    """
    end = layout.esp_start + layout.esp_size
    rows = (
        ("EFI", ESP_TYPE, layout.esp_start, end - 1),
        ("ISO9660 begin", CONTENT_TYPE, FIRST_USABLE, layout.esp_start - 1),
        ("ISO9660 rest", CONTENT_TYPE, end, last_usable(sectors)),
    )
    return b"".join(entry(*row, identity) for row in rows).ljust(ENTRIES * ENTRY_SIZE, b"\0")


def entry(name: str, kind: uuid.UUID, first: int, last: int, identity: bytes) -> bytes:
    """One GPT entry; first and last in sectors, both part of it."""
    unique = guid(identity, "esp" if kind == ESP_TYPE else name)
    return struct.pack(
        "<16s16sQQQ72s", kind.bytes_le, unique.bytes_le, first, last, 0, name.encode("utf-16-le")
    )


def last_usable(sectors: int) -> int:
    """The last sector before the backup table."""
    return sectors - TABLE_SECTORS - 2


def gpt_header(disk: uuid.UUID, table: bytes, sectors: int, *, primary: bool) -> bytes:
    """A GPT header of one sector; the backup one has its own place and its table before it."""
    own, other = (1, sectors - 1) if primary else (sectors - 1, 1)
    start = 2 if primary else sectors - 1 - TABLE_SECTORS
    usable = (FIRST_USABLE, last_usable(sectors))
    fields = (own, other, *usable, disk.bytes_le, start, ENTRIES, ENTRY_SIZE, zlib.crc32(table))
    packed = struct.pack("<8sLLLLQQQQ16sQLLL", b"EFI PART", 0x10000, 92, 0, 0, *fields)
    crc = struct.pack("<L", zlib.crc32(packed))
    return (packed[:16] + crc + packed[20:]).ljust(SECTOR, b"\0")
