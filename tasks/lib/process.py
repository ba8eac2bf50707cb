"""Subprocesses: argument lists, a rebuilt environment, no standard input, a pasteable command in errors."""

from __future__ import annotations

import ctypes
import os
import shlex
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from tasks.lib.errors import BuildError

# What a child may see of our environment; all else would leak the host into the artifacts.
INHERITED = ("HOME", "PATH", "TMPDIR", "XDG_CACHE_HOME", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY",
             "http_proxy", "https_proxy", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR")  # fmt: skip
PR_SET_PDEATHSIG = 1
TAIL_BYTES = 4000


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of every child: the inherited few, a fixed locale and time zone, then `extra`."""
    env = {name: os.environ[name] for name in INHERITED if name in os.environ}
    env.update({"LC_ALL": "C.UTF-8", "TZ": "UTC"})
    env.update(extra or {})
    return env


def die_with_parent() -> None:
    """Ask the kernel to kill this process when its parent goes, even by SIGKILL (prctl(2))."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


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
        raise BuildError(f"{words[0]}: not found", hint or "install it, or run ./doit doctor") from error
    except OSError as error:
        raise BuildError(f"{words[0]}: can not be started: {error.strerror}", hint) from error
    if done.returncode != 0:
        raise BuildError(describe_failure(words, done.returncode, done.stdout, done.stderr, cwd), hint)
    return done


def describe_failure(
    words: Sequence[str], status: int, out: bytes | None, err: bytes | None, cwd: Path | None
) -> str:
    """The text of a failed command: status, the command to paste, the last lines that it printed."""
    text = ((out or b"") + (err or b""))[-TAIL_BYTES:].decode(errors="replace").rstrip()
    place = f"cd {shlex.quote(str(cwd))} && " if cwd else ""
    why = f"killed by {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
    return f"command failed, {why}:\n  {place}{shlex.join(words)}\n{text}".rstrip()
