"""A disk with a cache that a power cut empties, served over NBD on a Unix socket.

Protocol: https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md, fixed newstyle, simple replies.
"""

from __future__ import annotations

import random
import socket
import struct
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

SECTOR = 512
OPTION_MAGIC, REPLY_MAGIC = b"IHAVEOPT", 0x3E889045565A9
REQUEST_MAGIC, ANSWER_MAGIC = 0x25609513, 0x67446698
EXPORT_NAME, ABORT, INFO, GO = 1, 2, 6, 7
ACK, REP_INFO, UNSUPPORTED = 1, 3, 0x80000001
READ, WRITE, DISCONNECT, FLUSH = 0, 1, 2, 3
FUA = 1
HAS_FLAGS, SEND_FLUSH, SEND_FUA = 1, 4, 8
EXPORT_FLAGS = HAS_FLAGS | SEND_FLUSH | SEND_FUA
INVALID = 22
REQUEST = struct.Struct(">IHHQQI")


class VolatileDisk:
    """A context manager that serves the raw image `image` at `address`, one client at a time."""

    def __init__(self, image: Path, address: Path) -> None:
        self.image = image
        self.address = address
        self.flushes = 0
        self._size = image.stat().st_size
        self._cache: dict[int, bytes] = {}
        self._lock = threading.Lock()
        self._client: socket.socket | None = None
        self._ended = False

    def __enter__(self) -> Self:
        self._file = self.image.open("r+b", buffering=0)
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(self.address))
        self._server.listen()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended = True
        self.cut()
        # Wakes the thread that waits for a client.
        with socket.socket(socket.AF_UNIX) as last:
            last.connect(str(self.address))
        self._thread.join(10)
        self._server.close()
        self.address.unlink(missing_ok=True)
        self._file.close()

    @property
    def unflushed(self) -> int:
        """How many sectors a cut would lose now."""
        return len(self._cache)

    def cut(self, chance: random.Random | None = None) -> int:
        """Lose every sector that was not flushed (or, with chance, half of them), and the client.

        Returns how many sectors were lost. The machine is to be ended after this, not before: QEMU flushes.
        """
        with self._lock:
            kept = {
                place: data
                for place, data in self._cache.items()
                if chance is not None and chance.random() < 0.5
            }
            lost = len(self._cache) - len(kept)
            self._write_back(kept)
            self._cache.clear()
            if self._client:
                self._client.shutdown(socket.SHUT_RDWR)
                self._client = None
        return lost

    def _write_back(self, sectors: dict[int, bytes]) -> None:
        for place, data in sectors.items():
            self._file.seek(place * SECTOR)
            self._file.write(data)

    def _serve(self) -> None:
        while not self._ended:
            client, _ = self._server.accept()
            with client:
                self._client = client
                try:
                    if self._negotiate(client):
                        while self._answer(client):
                            pass
                except OSError:
                    pass
                finally:
                    self._forget(client)

    def _forget(self, client: socket.socket) -> None:
        with self._lock:
            if self._client is client:
                self._client = None

    def _negotiate(self, client: socket.socket) -> bool:
        """Whether the client wants the disk; there is only one, so every name is its name."""
        client.sendall(b"NBDMAGIC" + OPTION_MAGIC + struct.pack(">H", 3))
        no_zeroes = int.from_bytes(receive(client, 4), "big") & 2
        while True:
            receive(client, len(OPTION_MAGIC))
            option, length = (int.from_bytes(receive(client, 4), "big") for _ in range(2))
            receive(client, length)
            size = struct.pack(">QH", self._size, EXPORT_FLAGS)
            if option == EXPORT_NAME:
                client.sendall(size + (b"" if no_zeroes else bytes(124)))
                return True
            if option in (INFO, GO):
                reply(client, option, REP_INFO, struct.pack(">H", 0) + size)
            reply(client, option, ACK if option in (INFO, GO, ABORT) else UNSUPPORTED)
            if option in (GO, ABORT):
                return option == GO

    def _answer(self, client: socket.socket) -> bool:
        """One request; whether there may be more."""
        _, flags, kind, handle, offset, length = REQUEST.unpack(receive(client, REQUEST.size))
        if kind == DISCONNECT:
            return False
        data = receive(client, length) if kind == WRITE else b""
        with self._lock:
            if self._client is not client:
                return False
            status, answer = self._do(kind, flags, offset, length, data)
        client.sendall(struct.pack(">IIQ", ANSWER_MAGIC, status, handle) + answer)
        return True

    def _do(self, kind: int, flags: int, offset: int, length: int, data: bytes) -> tuple[int, bytes]:
        first, count = offset // SECTOR, length // SECTOR
        if (
            kind not in (READ, WRITE, FLUSH)
            or offset % SECTOR
            or length % SECTOR
            or offset + length > self._size
        ):
            return INVALID, b""
        if kind == READ:
            return 0, self._read(first, count)
        if kind == WRITE:
            written = {first + n: data[n * SECTOR : (n + 1) * SECTOR] for n in range(count)}
            self._cache.update(written)
            if flags & FUA:
                self._write_back(written)
                for place in written:
                    del self._cache[place]
        else:
            self._write_back(self._cache)
            self._cache.clear()
            self.flushes += 1
        return 0, b""

    def _read(self, first: int, count: int) -> bytes:
        self._file.seek(first * SECTOR)
        found = bytearray(self._file.read(count * SECTOR))
        if self._cache:
            for n in range(count):
                if (newer := self._cache.get(first + n)) is not None:
                    found[n * SECTOR : (n + 1) * SECTOR] = newer
        return bytes(found)


def reply(client: socket.socket, option: int, kind: int, data: bytes = b"") -> None:
    """Answer an option of the negotiation."""
    client.sendall(struct.pack(">QIII", REPLY_MAGIC, option, kind, len(data)) + data)


def receive(client: socket.socket, length: int) -> bytes:
    """Exactly so many bytes. Raises ConnectionError when the client has gone."""
    data = bytearray()
    while len(data) < length:
        part = client.recv(length - len(data))
        if not part:
            raise ConnectionError("the client has gone")
        data += part
    return bytes(data)
