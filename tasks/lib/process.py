"""Subprocesses: argument lists, a rebuilt environment, no standard input, a pasteable command in errors."""

from __future__ import annotations

import ctypes
import functools
import os
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Protocol

from tasks.lib.errors import BuildError

# What a child may see of our environment; all else would leak the host into the artifacts.
INHERITED = ("HOME", "PATH", "TMPDIR", "XDG_CACHE_HOME", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY",
             "http_proxy", "https_proxy", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR")  # fmt: skip
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
TAIL_BYTES = 4000
FULL_BYTES = 16_000_000
GONE_WITHIN_S = 10.0


class Log(Protocol):
    """What log_to() needs of a stream."""

    def write(self, text: str, /) -> object:
        """Take some text."""

    def flush(self) -> object:
        """Let it be seen."""


_log: list[Log] = []


def log_to(stream: Log) -> None:
    """From now on write every command and its error output to `stream`, a task's log."""
    _log[:] = [stream]


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of every child: the inherited few, a fixed locale and time zone, then `extra`."""
    env = {name: os.environ[name] for name in INHERITED if name in os.environ}
    env.update({"LC_ALL": "C.UTF-8", "TZ": "UTC"})
    env.update(extra or {})
    return env


@functools.cache
def _prctl() -> Callable[..., Any]:
    """prctl(2); looked up before the fork, where nothing may be loaded any more."""
    found: Callable[..., Any] = ctypes.CDLL(None, use_errno=True).prctl
    return found


def prctl(option: int, value: int) -> None:
    """prctl(2) with one argument, for this process."""
    _prctl()(option, value, 0, 0, 0)


_steps: list[Callable[[], None]] = []


@contextmanager
def in_children(step: Callable[[], None]) -> Iterator[None]:
    """Within this block, every child takes this step before it becomes a program."""
    _steps.append(step)
    try:
        yield
    finally:
        _steps.remove(step)


@contextmanager
def outside_of_rules() -> Iterator[None]:
    """Within this block, children take none of those steps.

    For programs that mount file systems, which Landlock refuses whatever its rules are; what they read has to
    be handed over beforehand.
    """
    held = _steps[:]
    _steps.clear()
    try:
        yield
    finally:
        _steps[:] = held


def die_with_parent() -> None:
    """What a child does first: ask the kernel to kill it when its parent goes, even by SIGKILL (prctl(2))."""
    _prctl()(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    for step in _steps:
        step()


def run(
    argv: Sequence[str | Path],
    *,
    stdin: IO[bytes] | int = subprocess.DEVNULL,
    stdout: IO[bytes] | int = subprocess.PIPE,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    hint: str = "",
) -> subprocess.CompletedProcess[bytes]:
    """Run a command to its end and return it with its output (bytes).

    Raises BuildError with the pasteable command and the last lines of its output when it can not be
    started or its exit status is not 0.
    """
    words = [str(word) for word in argv]
    line = pasteable(words, cwd, env)
    _write_log(f"$ {line}\n")
    _prctl()
    try:
        done = subprocess.run(
            words,
            stdin=stdin,
            stdout=stdout,
            stderr=subprocess.PIPE,
            cwd=cwd,
            env=environment(env),
            umask=0o022,
            preexec_fn=die_with_parent,
            check=False,
        )
    except FileNotFoundError as error:
        missing = words[0] if cwd is None or cwd.is_dir() else str(cwd)
        raise BuildError(f"{missing}: not found", hint or "install it, or run ./doit doctor") from error
    except OSError as error:
        raise BuildError(f"{words[0]}: can not be started: {error.strerror}", hint) from error
    _write_log(done.stderr.decode(errors="replace"))
    if done.returncode != 0:
        _write_log((done.stdout or b"").decode(errors="replace"))
        what = describe_failure(line, done.returncode, done.stdout, done.stderr)
        raise BuildError(what, hint or _disk_hint(cwd))
    return done


def pasteable(words: Sequence[str], cwd: Path | None, env: Mapping[str, str] | None) -> str:
    """The command line that does the same in a shell."""
    place = f"cd {shlex.quote(str(cwd))} && " if cwd else ""
    extra = "".join(f"{name}={shlex.quote(value)} " for name, value in (env or {}).items())
    return f"{place}{extra}{shlex.join(words)}"


def describe_failure(line: str, status: int, out: bytes | None, err: bytes | None) -> str:
    """The text of a failed command: status, the command to paste, the last lines that it printed."""
    text = ((out or b"") + (err or b""))[-TAIL_BYTES:].decode(errors="replace").rstrip()
    why = f"killed by {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
    return f"command failed, {why}:\n  {line}\n{text}".rstrip()


def _write_log(text: str) -> None:
    for stream in _log:
        stream.write(text)
        stream.flush()


def _disk_hint(cwd: Path | None) -> str:
    """The likely reason when a disk that the command wrote to is full."""
    for folder in (cwd or Path.cwd(), Path(os.environ.get("TMPDIR", "/tmp"))):
        try:
            state = os.statvfs(folder)
        except OSError:
            continue
        if state.f_bavail * state.f_frsize < FULL_BYTES:
            return f"the disk of {folder} is full: free some space and run again"
    return ""


def end_group(group: int) -> None:
    """Kill a process group and wait until nothing of it runs."""
    deadline = time.monotonic() + GONE_WITHIN_S
    while time.monotonic() < deadline:
        try:
            os.killpg(group, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            return
        with suppress(ChildProcessError):
            os.waitpid(-group, os.WNOHANG)
        if not _group_runs(group):
            return
        time.sleep(0.005)


def _group_runs(group: int) -> bool:
    """Whether a process of the group has a living thread. Zombies stay where nobody collects them.

    True also when that can not be found out, for want of file handles.
    """
    try:
        processes = [path for path in Path("/proc").iterdir() if path.name.isdigit()]
    except OSError:
        return True
    for path in processes:
        with suppress(OSError):
            fields = (path / "stat").read_bytes().rpartition(b") ")[2].split()
            state, its_group, threads = fields[0], int(fields[2]), int(fields[17])  # proc_pid_stat(5)
            if its_group == group and (state not in (b"Z", b"X") or threads > 1):
                return True
    return False
