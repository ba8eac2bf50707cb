"""The guest's host port: fixed commands over a virtio-serial port that the hypervisor offers.

One command per line; the answer is `ok <n>` and a line end, then n bytes, or `error <text>` and a line end.
"""

from __future__ import annotations

import re
import socket
import time
from dataclasses import dataclass

from tasks.lib.errors import BuildError

CHUNK = 65536
OK = re.compile(rb"ok (\d{1,9})")
ERROR = re.compile(rb"error ?(.*)")
# What may still be on its way from an answer that was given up.
SETTLE_SECONDS = 0.3


class NotYetError(Exception):
    """The guest answered with `error`: what was asked for does not exist (yet)."""


@dataclass(frozen=True)
class MemoryInUse:
    """Memory in KiB: in use by parse_memory's formula, held by root images in RAM, and every line."""

    used: int
    images: int
    values: dict[str, int]

    @property
    def without_images(self) -> int:
        """In use, less the root images."""
        return self.used - self.images


class HostPort:
    """A client of the port. The guest may open the port late: QEMU holds a command until then."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._buffer = b""
        self._stale = False

    def ask(self, command: str, timeout: float = 30) -> str:
        """Send a command and return the answer's text.

        Raises NotYetError when the guest answers `error`, BuildError when it does not answer within
        `timeout` seconds or answers out of form.
        """
        deadline = time.monotonic() + timeout
        if self._stale:
            self._drain()
        try:
            self._channel.sendall(command.encode() + b"\n")
            return self._answer(command, deadline)
        except TimeoutError as error:
            self._stale = True
            raise BuildError(f"host port: no answer to {command} within {timeout:.0f} s") from error
        except OSError as error:
            raise BuildError(f"host port: the machine has gone ({command})") from error

    def _answer(self, command: str, deadline: float) -> str:
        while b"\n" not in self._buffer:
            self._receive(deadline)
        header, self._buffer = self._buffer.split(b"\n", 1)
        header = header.rstrip(b"\r")
        if refused := ERROR.fullmatch(header):
            raise NotYetError(refused[1].decode(errors="replace"))
        granted = OK.fullmatch(header)
        if not granted:
            self._stale = True
            raise BuildError(f"host port: answer out of form to {command}: {header[:200]!r}")
        size = int(granted[1])
        while len(self._buffer) < size:
            self._receive(deadline)
        body, self._buffer = self._buffer[:size], self._buffer[size:]
        return body.decode(errors="replace")

    def _receive(self, deadline: float) -> None:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._channel.settimeout(left)
        chunk = self._channel.recv(CHUNK)
        if not chunk:
            raise ConnectionResetError
        self._buffer += chunk

    def _drain(self) -> None:
        """Throw away what a given-up answer still sends."""
        self._channel.settimeout(SETTLE_SECONDS)
        try:
            while self._channel.recv(CHUNK):
                pass
        except TimeoutError:
            pass
        self._buffer = b""
        self._stale = False

    def wait(self, command: str, timeout: float, pause: float = 5) -> str:
        """Ask every `pause` seconds until the guest does not answer `error` any more.

        Raises BuildError after `timeout` seconds.
        """
        deadline = time.monotonic() + timeout
        while True:
            try:
                return self.ask(command, max(1, deadline - time.monotonic()))
            except NotYetError as error:
                if time.monotonic() + pause > deadline:
                    raise BuildError(f"host port: {command}: {error} after {timeout:.0f} s") from error
                time.sleep(pause)

    def milestones(self, timeout: float = 30) -> dict[str, float]:
        """Name to seconds since the kernel's start; of a name that came twice, the first."""
        return parse_milestones(self.ask("milestones", timeout))

    def memory(self, timeout: float = 30) -> MemoryInUse:
        """The memory in use now."""
        return parse_memory(self.ask("meminfo", timeout))

    def close(self) -> None:
        """Release the channel."""
        self._channel.close()


def parse_milestones(text: str) -> dict[str, float]:
    """Lines of `<name> <seconds>`; of a name that came twice, the first; other lines are ignored."""
    found: dict[str, float] = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) == 2 and re.fullmatch(r"\d+(\.\d+)?", words[1]):
            found.setdefault(words[0], float(words[1]))
    return found


def parse_memory(text: str) -> MemoryInUse:
    """/proc/meminfo (proc(5)) and a line `RootImages: N kB`.

    In use is MemTotal - MemFree - Buffers - Cached - SReclaimable + Shmem.

    Raises BuildError when a line is missing.
    """
    lines = (line.partition(":") for line in text.splitlines())
    values = {
        name: int(rest.split()[0])
        for name, _, rest in lines
        if rest.split()[:1] and rest.split()[0].isdigit()
    }
    try:
        gone = sum(values[name] for name in ("MemFree", "Buffers", "Cached", "SReclaimable"))
        return MemoryInUse(values["MemTotal"] - gone + values["Shmem"], values.get("RootImages", 0), values)
    except KeyError as error:
        raise BuildError(f"meminfo without {error.args[0]}") from error
