"""A worker process: runs one recipe, its output in a log file, and reports through a pipe."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
import traceback
from pathlib import Path
from types import FrameType
from typing import Any

from tasks.lib import process
from tasks.lib.engine.execution import explained, make
from tasks.lib.engine.spec import Artifact
from tasks.lib.engine.watcher import Watcher
from tasks.lib.errors import BuildError
from tasks.lib.paths import BUILD, TOP

PROGRESS_PERIOD_S = 0.1
VERBOSE_LINES = 100


class Stopped(BaseException):
    """SIGTERM: unwind, so that every `finally` runs."""


class Pipe:
    """Sends messages, one JSON object a line; progress is thinned out. As a stream, it is a recipe's log."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lock = threading.Lock()
        self._next = 0.0

    def send(self, message: dict[str, Any]) -> None:
        """Send one message, whole."""
        with self._lock:
            if "progress" in message:
                if time.monotonic() < self._next:
                    return
                self._next = time.monotonic() + PROGRESS_PERIOD_S
            data = json.dumps(message).encode() + b"\n"
            while data:
                data = data[os.write(self._descriptor, data) :]

    def write(self, text: str) -> None:
        """Commands and their output, for the log file and for the user in verbose mode."""
        sys.stderr.write(text)
        for line in text.splitlines()[-VERBOSE_LINES:]:
            self.send({"log": line})

    def flush(self) -> None:
        """The file is line buffered, the pipe not at all."""


def log_path(name: str) -> Path:
    """Where a task's output goes."""
    return BUILD / "log" / f"{name.replace('/', '_')}.log"


def start(spec: Artifact, watcher: Watcher) -> tuple[int, int]:
    """Fork a worker for a task; returns its process id, which is its process group too, and its pipe.

    Raises OSError.
    """
    read, write = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.close(read)
            _become_worker(watcher)
            status = _work(spec, Pipe(write))
        except Stopped:
            status = 143
        finally:
            os._exit(status)
    os.close(write)
    os.set_blocking(read, False)
    return pid, read


def _become_worker(watcher: Watcher) -> None:
    parent = os.getppid()
    os.setpgid(0, 0)
    watcher.add(os.getpid())
    watcher.leave()
    process.prctl(process.PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, _stop)
    os.umask(0o022)
    os.chdir(TOP)
    os.environ["TZ"] = "UTC"
    time.tzset()


def _stop(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise Stopped


def _redirect(log: Path) -> None:
    """Standard input from nowhere, both outputs to the log file."""
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_bytes(b"")
    with open(log, "ab") as output, open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", closefd=False, buffering=1)  # noqa: SIM115
    sys.stderr = open(2, "w", closefd=False, buffering=1)  # noqa: SIM115


def _work(spec: Artifact, pipe: Pipe) -> int:
    try:
        _redirect(log_path(spec.name))
        process.log_to(pipe)
        pipe.send({"result": make(spec, pipe.send)})
        return 0
    except (BuildError, OSError) as error:
        refusal = explained(error) if isinstance(error, OSError) else error
        print(refusal, file=sys.stderr)
        pipe.send({"error": refusal.what, "hint": refusal.hint})
    except Exception as error:
        traceback.print_exc()
        last = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{os.path.relpath(last.filename, TOP)}:{last.lineno}"
        pipe.send({"error": f"{type(error).__name__}: {error} ({where})", "hint": "a bug in the recipe"})
    return 1
