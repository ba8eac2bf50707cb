"""QEMU's machine protocol (QMP, docs/interop/qmp-spec.rst): commands and events as lines of JSON."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from typing import Any

from tasks.lib.errors import BuildError

Event = dict[str, Any]


class Monitor:
    """A client of one machine's monitor. Every wait is bounded; events are kept in the order of arrival."""

    def __init__(self, channel: socket.socket, timeout: float) -> None:
        """channel: a connected stream socket. timeout: seconds for the greeting and for every answer.

        Raises BuildError when QEMU does not greet in time.
        """
        self.channel = channel
        self.timeout = timeout
        self.events: list[Event] = []
        self._buffer = b""
        self._message(time.monotonic() + timeout)
        self.execute("qmp_capabilities")

    def execute(self, command: str, **arguments: object) -> Any:  # noqa: ANN401 (JSON)
        """Run a command and return its value.

        Raises BuildError when QEMU refuses it, has gone, or does not answer in time.
        """
        request = {"execute": command, "arguments": arguments}
        try:
            self.channel.sendall(json.dumps(request).encode() + b"\n")
        except OSError as error:
            raise BuildError(f"QEMU has gone: {command} can not be sent") from error
        deadline = time.monotonic() + self.timeout
        while True:
            message = self._message(deadline)
            if "event" in message:
                self.events.append(message)
            elif "error" in message:
                raise BuildError(f"QEMU refuses {command}: {message['error'].get('desc')}")
            elif "return" in message:
                return message["return"]

    def wait_event(self, wanted: Callable[[Event], bool], timeout: float) -> Event:
        """The first event, from now on or not taken yet, for which `wanted` holds; earlier ones are dropped.

        Raises BuildError after `timeout` seconds or when QEMU has gone.
        """
        deadline = time.monotonic() + timeout
        while True:
            while self.events:
                event = self.events.pop(0)
                if wanted(event):
                    return event
            message = self._message(deadline)
            if "event" in message:
                self.events.append(message)

    def _message(self, deadline: float) -> dict[str, Any]:
        """The next message of any kind."""
        while b"\n" not in self._buffer:
            left = deadline - time.monotonic()
            if left <= 0:
                raise BuildError("QEMU's monitor does not answer in time")
            self.channel.settimeout(left)
            try:
                chunk = self.channel.recv(65536)
            except TimeoutError:
                continue
            except OSError as error:
                raise BuildError("QEMU has gone") from error
            if not chunk:
                raise BuildError("QEMU has gone")
            self._buffer += chunk
        line, self._buffer = self._buffer.split(b"\n", 1)
        message: dict[str, Any] = json.loads(line)
        return message
