"""A process that outlives a killed run just long enough to kill the run's workers with all their children."""

from __future__ import annotations

import contextlib
import os
import signal

from tasks.lib.process import end_group


class Watcher:
    """Knows the process groups of running workers through a pipe; end of file means that the run is dead.

    It keeps the checkout's lock (an inherited descriptor) until those groups are gone, so that the next
    run waits for them.
    """

    def __init__(self, lock: int) -> None:
        self._read, self._write = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                _watch(self._read, lock)
            finally:
                os._exit(0)
        os.close(self._read)

    def add(self, group: int) -> None:
        """Called by a worker for its own group, before it does anything else."""
        os.write(self._write, f"+{group}\n".encode())

    def leave(self) -> None:
        """Called by a worker: only the run itself may keep the pipe open."""
        os.close(self._write)

    def forget(self, group: int) -> None:
        """The group is gone."""
        os.write(self._write, f"-{group}\n".encode())

    def close(self) -> None:
        """End of the run: nothing left to watch."""
        os.close(self._write)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, 0)


def _watch(pipe: int, lock: int) -> None:
    signal.set_wakeup_fd(-1)
    os.setsid()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    low, high = sorted((pipe, lock))  # all else is closed
    os.closerange(0, low)
    os.closerange(low + 1, high)
    os.closerange(high + 1, os.sysconf("SC_OPEN_MAX"))
    groups: set[int] = set()
    rest = b""
    while data := os.read(pipe, 4096):
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            (groups.add if line[:1] == b"+" else groups.discard)(int(line[1:]))
    for group in groups:
        end_group(group)
