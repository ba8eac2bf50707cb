"""Somebody at a terminal in which a machine runs."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import termios
import time
from collections.abc import Sequence
from pathlib import Path

from tasks.lib.paths import TOP

AGAIN_SECONDS = 3


class Person:
    """The terminal, what is typed and read there, and the command that runs in it."""

    def __init__(self, words: Sequence[str | Path]) -> None:
        self.terminal, self.other = pty.openpty()
        self.before = termios.tcgetattr(self.other)
        self.text = ""
        self.process = subprocess.Popen(
            words,
            cwd=TOP,
            stdin=self.other,
            stdout=self.other,
            stderr=self.other,
            start_new_session=True,
            preexec_fn=self.take_terminal,
        )

    def take_terminal(self) -> None:
        """Make the terminal the process's own, so that Ctrl-C reaches it as a signal."""
        os.close(os.open(os.ttyname(self.other), os.O_RDWR))

    def read_until(self, wanted: str, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        start = len(self.text)
        while wanted not in self.text[start:]:
            assert time.monotonic() < deadline, f"no {wanted!r} in\n{self.text}"
            assert self.process.poll() is None, f"ended, status {self.process.returncode}:\n{self.text}"
            self.read()

    def press_until(self, keys: str, wanted: str, timeout: float) -> None:
        """Press keys again and again: getty loses what is typed while it asks the terminal for its size."""
        deadline = time.monotonic() + timeout
        start = len(self.text)
        while wanted not in self.text[start:]:
            assert time.monotonic() < deadline, f"no {wanted!r} in\n{self.text}"
            self.press(keys)
            pause = time.monotonic() + AGAIN_SECONDS
            while time.monotonic() < pause and wanted not in self.text[start:]:
                self.read()

    def read(self) -> None:
        if select.select([self.terminal], [], [], 0.2)[0]:
            self.text += os.read(self.terminal, 65536).decode(errors="replace")

    def press(self, keys: str) -> None:
        os.write(self.terminal, keys.encode())

    def wait_end(self, timeout: float) -> int:
        deadline = time.monotonic() + timeout
        while self.process.poll() is None:
            assert time.monotonic() < deadline, f"has not ended:\n{self.text}"
            self.read()
        return self.process.wait()

    def leave(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.terminal)
        os.close(self.other)
