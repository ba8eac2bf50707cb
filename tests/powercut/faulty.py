"""A disk that fails: writes that end in an error, and sectors that read back otherwise than they were."""

from __future__ import annotations

from pathlib import Path

from tests.powercut.volatile import READ, SECTOR, WRITE, VolatileDisk

IO_ERROR = 5


class FaultyDisk(VolatileDisk):
    """As VolatileDisk, with faults in the bytes of `place`.

    fault: "write" refuses to write there, "read" gives a flipped bit to whoever reads there. least: requests
    for fewer bytes are served well; a file system reads and writes its own tables in small ones, and where it
    keeps what files hold is its own affair. met: how many requests met the fault.
    """

    def __init__(self, image: Path, address: Path, fault: str, place: range, least: int = SECTOR) -> None:
        super().__init__(image, address)
        self.fault = fault
        self.place = place
        self.least = least
        self.met = 0

    def _do(self, kind: int, flags: int, offset: int, length: int, data: bytes) -> tuple[int, bytes]:
        inside = offset < self.place.stop and offset + length > self.place.start
        touched = inside and length >= self.least
        if kind == WRITE and self.fault == "write" and touched:
            self.met += 1
            return IO_ERROR, b""
        status, answer = super()._do(kind, flags, offset, length, data)
        if kind == READ and self.fault == "read" and touched and answer:
            self.met += 1
            at = max(self.place.start - offset, 0) // SECTOR * SECTOR
            answer = answer[:at] + bytes([answer[at] ^ 1]) + answer[at + 1 :]
        return status, answer
