"""The serial console: every byte kept in a file and every line with the time of its arrival."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

from tasks.lib.errors import BuildError

ESCAPES = re.compile(r"\x1b\[[0-9;?=]*[A-Za-z]|\x1b[()][A-Z0-9]|\x1b[=>c78]")
CHUNK = 65536
TAIL_LINES = 60


class Serial:
    """Reads a console in a thread until the other end closes.

    log: the file that gets the bytes as they come. sink: called with them, too (dev-vm's terminal).
    """

    def __init__(
        self, channel: socket.socket, log: Path, sink: Callable[[bytes], None] | None = None
    ) -> None:
        self.log = log
        self._channel = channel
        self._sink = sink
        self._text = ""
        self._arrivals: list[tuple[int, float]] = []
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._read, name="serial", daemon=True)
        self._thread.start()

    def _read(self) -> None:
        with self.log.open("wb") as file:
            while chunk := self._receive():
                file.write(chunk)
                file.flush()
                if self._sink:
                    self._sink(chunk)
                with self._changed:
                    self._arrivals.append((len(self._text), time.monotonic()))
                    self._text += chunk.decode("utf-8", errors="replace")
                    self._changed.notify_all()
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _receive(self) -> bytes:
        try:
            return self._channel.recv(CHUNK)
        except OSError:
            return b""

    def text(self, start: int = 0) -> str:
        """What has arrived since character `start`, without terminal escapes."""
        with self._changed:
            return ESCAPES.sub("", self._text[start:])

    def seen(self, needle: str) -> bool:
        """Whether `needle` has arrived."""
        with self._changed:
            return needle in self._text

    def position(self) -> int:
        """How many characters have arrived: a place to wait() from."""
        with self._changed:
            return len(self._text)

    def wait(self, needle: str, timeout: float, start: int = 0) -> float:
        """Wait until `needle` has arrived at or after character `start`; when it did, as time.monotonic().

        Raises BuildError with the last lines after `timeout` seconds, or when the console has closed.
        """
        deadline = time.monotonic() + timeout
        with self._changed:
            while (found := self._text.find(needle, start)) < 0:
                left = deadline - time.monotonic()
                if self._closed or left <= 0:
                    why = "the machine has ended" if self._closed else f"not within {timeout:.0f} s"
                    raise BuildError(f"console: no {needle!r}: {why}\n{self.tail()}")
                self._changed.wait(left)
            return max(when for place, when in self._arrivals if place < found + len(needle))

    def send(self, text: str) -> None:
        """Type on the console."""
        self._channel.sendall(text.encode())

    def tail(self, lines: int = TAIL_LINES) -> str:
        """The last lines, for messages."""
        text = ESCAPES.sub("", self._text).replace("\r", "")
        return "\n".join(text.splitlines()[-lines:])

    def close(self, timeout: float = 5) -> None:
        """Wait for the rest of the output, then release the channel."""
        self._thread.join(timeout)
        self._channel.close()
