"""A disk that fails: writes that end in an error, and sectors that read back otherwise than they were."""

from __future__ import annotations

from pathlib import Path

from tests.powercut.volatile import READ, SECTOR, WRITE, VolatileDisk

IO_ERROR = 5


class FaultyDisk(VolatileDisk):
    """As VolatileDisk, with faults in the bytes of `place`.

    fault: "write" refuses to write there, "read" gives a flipped bit to whoever reads there.
    """

    def __init__(self, image: Path, address: Path, fault: str, place: range) -> None:
        super().__init__(image, address)
        self.fault = fault
        self.place = place

    def _do(self, kind: int, flags: int, offset: int, length: int, data: bytes) -> tuple[int, bytes]:
        touched = offset < self.place.stop and offset + length > self.place.start
        if kind == WRITE and self.fault == "write" and touched:
            return IO_ERROR, b""
        status, answer = super()._do(kind, flags, offset, length, data)
        if kind == READ and self.fault == "read" and touched and answer:
            at = max(self.place.start - offset, 0) // SECTOR * SECTOR
            answer = answer[:at] + bytes([answer[at] ^ 1]) + answer[at + 1 :]
        return status, answer
