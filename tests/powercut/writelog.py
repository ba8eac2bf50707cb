"""The log of a disk's writes, and the states that a power cut could have left.

Format: dm-log-writes of Linux (drivers/md/dm-log-writes.c), as QEMU's blklogwrites writes it. One sector
with the superblock {magic u64, version u64, entries u64, sector size u32}, which QEMU writes at the first
flush; then for each request one sector {sector u64, sectors u64, flags u64, length of data u64}, followed by
the data, unless it is a discard.
"""

from __future__ import annotations

import random
import struct
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

SECTOR = 512
MAGIC = 0x6A736677736872
FLUSH, FUA, DISCARD = 1, 2, 4
SUPERBLOCK = struct.Struct("<QQQI")
HEADER = struct.Struct("<QQQQ")


@dataclass(frozen=True)
class Request:
    """One request; sizes in bytes. place: of its data in the log. end: size of the log with it."""

    offset: int
    length: int
    flags: int
    place: int
    end: int


def requests(log: Path) -> Iterator[Request]:
    """All requests of a log. The superblock counts only what was there at the last flush: read to the end.

    Raises ValueError when it is no such log.
    """
    size = log.stat().st_size
    with log.open("rb") as stream:
        magic, version, _, sector = SUPERBLOCK.unpack(stream.read(SUPERBLOCK.size))
        if not magic and not version:
            sector = SECTOR
        elif (magic, version) != (MAGIC, 1):
            raise ValueError(f"{log} is not a write log")
        place = sector
        while place + sector <= size:
            stream.seek(place)
            start, count, flags, length = HEADER.unpack(stream.read(HEADER.size))
            data = 0 if flags & DISCARD else count * sector
            if not (count or flags or length) or place + sector + data > size:
                return
            yield Request(start * sector, count * sector, flags, place + sector, place + sector + data)
            place += sector + data


class Replay:
    """States of one run. They are asked for in the order of the log, as what is durable is carried along.

    base: the disk before the run. scratch: where the durable state is kept.
    """

    def __init__(self, base: Path, log: Path, scratch: Path) -> None:
        self.requests = list(requests(log))
        self.log = log
        self.durable = scratch
        self._volatile: list[Request] = []
        self._done = 0
        copy_sparse(base, scratch)

    def cut(self, count: int, state: Path, chance: random.Random | None = None) -> None:
        """Write the disk as it is when the power is cut after `count` requests.

        chance: None loses all that was not flushed; else each of its sectors is lost or not.
        Raises ValueError for a moment before that of the call before.
        """
        if count < self._done:
            raise ValueError("a replay only goes forward")
        for request in self.requests[self._done : count]:
            if request.flags & FLUSH:
                self._apply(self.durable, self._volatile)
                self._volatile = []
            if request.length:
                self._volatile.append(request)
        self._done = count
        copy_sparse(self.durable, state)
        self._apply(state, self._volatile, chance or LOSE_ALL)

    def _apply(self, disk: Path, wanted: list[Request], chance: random.Random | None = None) -> None:
        """In the order of the log. A request with FUA is durable by itself."""
        with self.log.open("rb") as source, disk.open("r+b") as target:
            for request in wanted:
                keep = None if request.flags & FUA else chance
                apply(request, source, target, keep)


def apply(request: Request, source: BinaryIO, target: BinaryIO, chance: random.Random | None) -> None:
    """Write one request, or those of its sectors that chance keeps."""
    if chance is LOSE_ALL:
        return
    source.seek(request.place)
    data = bytes(request.length) if request.flags & DISCARD else source.read(request.length)
    if chance is None:
        target.seek(request.offset)
        target.write(data)
        return
    for start in range(0, request.length, SECTOR):
        if chance.random() < 0.5:
            target.seek(request.offset + start)
            target.write(data[start : start + SECTOR])


LOSE_ALL = random.Random(0)


def copy_sparse(source: Path, target: Path) -> None:
    """Copy a disk image without its holes."""
    options = ["--sparse=always"] if sys.platform == "linux" else ["-c"]
    subprocess.run(["cp", *options, str(source), str(target)], check=True)
