"""Runs stale tasks side by side, one forked worker each, and stops cleanly on a signal."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from doit.control import ExecNode, TaskDispatcher
from doit.exceptions import BaseFail, InvalidTask
from doit.runner import ERROR, Runner

from tasks.lib import process
from tasks.lib.engine import worker
from tasks.lib.engine.execution import discard, explained
from tasks.lib.engine.records import Records, artifact_of
from tasks.lib.engine.reporter import Reporter
from tasks.lib.engine.spec import Artifact
from tasks.lib.engine.watcher import Watcher
from tasks.lib.errors import BuildError

GRACE_S = 5.0
REFRESH_S = 0.25


class Interrupted(BaseException):
    """A signal ended the run; all workers are gone."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def stop_signals() -> list[signal.Signals]:
    """Those that end a run: not SIGHUP under nohup(1), which has it ignored, as the terminal may go."""
    every = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    return [
        number for number in every if signal.getsignal(number) != signal.SIG_IGN or number != signal.SIGHUP
    ]


@dataclass
class Job:
    """A running worker."""

    node: ExecNode
    spec: Artifact
    pid: int
    pipe: int
    started: float
    rest: bytes = b""
    answer: dict[str, Any] = field(default_factory=dict)


class ParallelRunner(Runner):
    """doit's runner with at most `slots` workers; `lock` is the checkout lock's descriptor."""

    dep_manager: Records
    reporter: Reporter

    def __init__(
        self, records: Records, reporter: Reporter, *, keep_going: bool, always: bool, slots: int, lock: int
    ) -> None:
        super().__init__(records, reporter, keep_going, always)
        self._slots = max(1, slots)
        self._lock = lock
        self._jobs: dict[int, Job] = {}
        self._remains: list[Artifact] = []
        self._watcher: Watcher | None = None
        self._selector = selectors.DefaultSelector()
        self._stop: int = 0

    def run_tasks(self, task_dispatcher: TaskDispatcher) -> None:
        """Run everything that is stale.

        Raises Interrupted after a signal, OSError when what a worker left can not be removed.
        """
        try:
            with self._signals():
                try:
                    self._loop(task_dispatcher)
                finally:
                    self._end_all()
        except BaseException:
            with contextlib.suppress(OSError):  # what ended the run is what to tell
                self._remove_remains()
            raise
        self._remove_remains()

    def _loop(self, dispatcher: TaskDispatcher) -> None:
        done: list[ExecNode] = []
        while True:
            while not self._stop_running and len(self._jobs) < self._slots:
                node = self._next(dispatcher, done)
                if node is None:
                    break
                self._start(node)
            if not self._jobs:
                return
            done += self._wait()

    def _next(self, dispatcher: TaskDispatcher, done: list[ExecNode]) -> ExecNode | None:
        """The next stale task; None when there is none left, and when all wait for running ones."""
        node = done.pop(0) if done else None
        with contextlib.suppress(StopIteration):
            while True:
                node = dispatcher.generator.send(node)
                if node != "hold on":
                    if self.select_task(node, dispatcher.tasks):
                        return node
                elif done:
                    node = done.pop(0)
                elif self._jobs:
                    return None
                else:
                    raise InvalidTask("tasks wait for each other in a circle")
        return None

    def _start(self, node: ExecNode) -> None:
        spec = artifact_of(node.task)
        self.dep_manager.remove_success(node.task)
        self.dep_manager.look_again()
        if self._watcher is None:
            process.prctl(process.PR_SET_CHILD_SUBREAPER, 1)
            self._watcher = Watcher(self._lock)
        try:
            pid, pipe = worker.start(spec, self._watcher)
        except OSError as error:
            raise explained(error) from error
        job = Job(node, spec, pid, pipe, time.monotonic())
        self._jobs[pid] = job
        self._selector.register(pipe, selectors.EVENT_READ, job)
        records = self.dep_manager
        self.reporter.started(spec.name, records.reasons.get(spec.name, []), records.seconds(spec.name))

    def _wait(self) -> list[ExecNode]:
        """Wait for messages or the end of workers; returns the nodes that are finished."""
        for key, _ in self._selector.select(REFRESH_S):
            if isinstance(key.data, Job):
                self._read(key.data)
            else:
                with contextlib.suppress(BlockingIOError):
                    os.read(key.fd, 4096)
        self.reporter.refresh()
        if self._stop:
            raise Interrupted(self._stop)
        return [self._finish(job, status) for job, status in self._ended()]

    def _read(self, job: Job) -> None:
        with contextlib.suppress(BlockingIOError):
            while data := os.read(job.pipe, 65536):
                *lines, job.rest = (job.rest + data).split(b"\n")
                for line in lines:
                    message = json.loads(line)
                    if "result" in message or "error" in message:
                        job.answer = message
                    else:
                        self.reporter.message(job.spec.name, message)

    def _ended(self) -> Iterator[tuple[Job, int]]:
        """Reap ended workers, and orphans that were handed to us."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid in self._jobs:
                yield self._jobs[pid], os.waitstatus_to_exitcode(status)

    def _finish(self, job: Job, status: int) -> ExecNode:
        self.dep_manager.look_again()
        self._read(job)
        self._drop(job)
        try:
            self._record(job, status)
            job.node.run_status = "successful"
        except BuildError as error:
            self.dep_manager.remove_success(job.node.task)
            self.reporter.failed(job.spec.name, error)
            self._mark_failed(job.node)
            if self._jobs and self._stop_running:
                self.reporter.waiting_for([other.spec.name for other in self._jobs.values()])
        return job.node

    def _record(self, job: Job, status: int) -> None:
        """Record a success; BuildError when it is none."""
        result = job.answer.get("result")
        if result is None:
            killed = f"its worker was killed by {signal.Signals(-status).name}" if status < 0 else ""
            memory = "out of memory? (dmesg)" if status == -signal.SIGKILL else ""
            what = job.answer.get("error", killed or f"exit {status}")
            raise BuildError(what, job.answer.get("hint", memory))
        seconds = time.monotonic() - job.started
        for path, (mark, sha256) in result["files"].items():
            self.dep_manager.digests.fresh[path] = (mark, sha256)
        if changed := self.dep_manager.changed_while_running(job.spec):
            raise BuildError(f"{', '.join(changed)} changed while the task ran", "run again")
        self.dep_manager.save_artifact(job.spec, result["targets"], seconds)
        self.reporter.made(job.spec, result["size"], seconds)

    def _handle_task_error(self, node: ExecNode, base_fail: BaseFail) -> None:
        """What was not begun, for want of what it needs, keeps its record; doit would remove it."""
        self.reporter.add_failure(node.task, base_fail)
        self._mark_failed(node)

    def _mark_failed(self, node: ExecNode) -> None:
        node.run_status = "failure"
        self.final_result = ERROR
        self._stop_running = not self.continue_

    def _drop(self, job: Job) -> None:
        """Forget a worker that has been reaped, with whatever it left in its process group."""
        del self._jobs[job.pid]
        self._selector.unregister(job.pipe)
        os.close(job.pipe)
        process.end_group(job.pid)
        if self._watcher:
            self._watcher.forget(job.pid)
        try:
            discard(job.spec)
        except OSError:  # no file handle to look into a folder? The run gives some back at its end
            self._remains.append(job.spec)

    def _remove_remains(self) -> None:
        """Remove what could not be removed when its worker ended; OSError when something stays."""
        with contextlib.ExitStack() as every:
            for spec in self._remains:
                every.callback(discard, spec)

    def _end_all(self) -> None:
        """Stop what still runs: SIGTERM, a moment to clean up, SIGKILL."""
        for job in self._jobs.values():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(job.pid, signal.SIGTERM)
        deadline = time.monotonic() + GRACE_S
        while self._jobs and time.monotonic() < deadline:
            for job, _ in list(self._ended()):
                self._drop(job)
            time.sleep(0.01)
        for job in list(self._jobs.values()):
            process.end_group(job.pid)
            self._drop(job)
        if self._watcher:
            self._watcher.close()
            self._watcher = None

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """Signals only set a mark and wake the loop, so that none of its steps is torn."""
        read, write = os.pipe()
        os.set_blocking(read, False)
        os.set_blocking(write, False)
        caught = (*stop_signals(), signal.SIGCHLD)
        before = {number: signal.signal(number, self._note) for number in caught}
        old = signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        self._selector.register(read, selectors.EVENT_READ)
        try:
            yield
        finally:
            signal.set_wakeup_fd(old)
            for number, handler in before.items():
                signal.signal(number, handler)
            self._selector.close()
            os.close(read)
            os.close(write)

    def _note(self, number: int, frame: object) -> None:
        if number != signal.SIGCHLD and not self._stop:
            self._stop = number
