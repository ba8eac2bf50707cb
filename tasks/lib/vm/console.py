"""The user's terminal as a machine's serial console."""

from __future__ import annotations

import contextlib
import os
import select
import sys
import termios
from collections.abc import Callable, Iterator

CHUNK = 4096


@contextlib.contextmanager
def keys_unprocessed() -> Iterator[None]:
    """Hand every key on as it is pressed, but for Ctrl-C; the terminal is as before afterwards.

    Nothing happens when standard input is no terminal.
    """
    if not sys.stdin.isatty():
        yield
        return
    number = sys.stdin.fileno()
    before = termios.tcgetattr(number)
    mode = termios.tcgetattr(number)
    mode[0] &= ~(termios.ICRNL | termios.IXON)
    mode[3] &= ~(termios.ICANON | termios.ECHO)
    mode[6][termios.VMIN], mode[6][termios.VTIME] = 1, 0
    for character in (termios.VQUIT, termios.VSUSP):
        mode[6][character] = b"\0"
    try:
        termios.tcsetattr(number, termios.TCSADRAIN, mode)
        yield
    finally:
        termios.tcsetattr(number, termios.TCSADRAIN, before)


def show(data: bytes) -> None:
    """Write the guest's output to the terminal at once."""
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()


def relay(send: Callable[[str], None], seconds: float) -> None:
    """Pass keys on for at most `seconds`; returns earlier after each lot of keys."""
    watched = [sys.stdin.fileno()] if sys.stdin.isatty() else []
    ready, _, _ = select.select(watched, [], [], seconds)
    if ready:
        send(os.read(ready[0], CHUNK).decode(errors="replace"))
