"""A process that outlives a killed run just long enough to kill the run's workers with all their children."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import time

GONE_WITHIN_S = 10.0
SET_CHILD_SUBREAPER = 36
SET_PDEATHSIG = 1


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
    _close_all_but({pipe, lock})
    groups: set[int] = set()
    rest = b""
    while data := os.read(pipe, 4096):
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            (groups.add if line[:1] == b"+" else groups.discard)(int(line[1:]))
    for group in groups:
        end_group(group)


def _close_all_but(keep: set[int]) -> None:
    try:
        found = {int(name) for name in os.listdir("/proc/self/fd")}
    except OSError:  # all are in use, even the one for this list: so there are few
        found = set(range(resource.getrlimit(resource.RLIMIT_NOFILE)[0]))
    for descriptor in found - keep:
        with contextlib.suppress(OSError):
            os.close(descriptor)


def end_group(group: int) -> None:
    """Kill a process group and wait until nothing of it runs."""
    deadline = time.monotonic() + GONE_WITHIN_S
    while time.monotonic() < deadline:
        try:
            os.killpg(group, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            return
        with contextlib.suppress(ChildProcessError):
            os.waitpid(-group, os.WNOHANG)
        if not _runs(group):
            return
        time.sleep(0.005)


def _runs(group: int) -> bool:
    """Whether a process of the group has a living thread. Zombies stay where nobody collects them.

    True also when that can not be found out, for want of file handles.
    """
    try:
        names = os.listdir("/proc")
    except OSError:
        return True
    for name in filter(str.isdigit, names):
        with contextlib.suppress(OSError), open(f"/proc/{name}/stat", "rb") as stat:
            fields = stat.read().rpartition(b") ")[2].split()
            state, its_group, threads = fields[0], int(fields[2]), int(fields[17])  # proc_pid_stat(5)
            if its_group == group and (state not in (b"Z", b"X") or threads > 1):
                return True
    return False


def prctl(option: int, value: int) -> None:
    """prctl(2) with one argument."""
    import ctypes

    ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)
