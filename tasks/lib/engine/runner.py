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
from doit.exceptions import BaseFail, InvalidTask, TaskError, UnmetDependency
from doit.runner import ERROR, Runner
from doit.task import Task

from tasks.lib.engine import worker
from tasks.lib.engine.execution import discard, explained
from tasks.lib.engine.records import Records, artifact_of
from tasks.lib.engine.reporter import Reporter
from tasks.lib.engine.spec import Artifact
from tasks.lib.engine.watcher import SET_CHILD_SUBREAPER, Watcher, end_group, prctl
from tasks.lib.errors import BuildError

GRACE_S = 5.0
REFRESH_S = 0.25
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(BaseException):
    """A signal ended the run; all workers are gone."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def hangup_ignored(number: int) -> bool:
    """Whether this is SIGHUP and whoever started us had it ignored, as nohup(1) does: the terminal may go."""
    return number == signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN


@dataclass
class Job:
    """A running worker."""

    node: ExecNode
    pid: int
    pipe: int
    started: float
    rest: bytes = b""
    answer: dict[str, Any] = field(default_factory=dict)

    @property
    def task(self) -> Task:
        """The task that it executes."""
        return self.node.task


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
        exhausted = False
        while True:
            while not exhausted and not self._stop_running and len(self._jobs) < self._slots:
                node = self._next(dispatcher, done)
                if node is None:
                    exhausted = True
                elif node == "hold on":
                    break
                elif node.task.actions:
                    self._start(node)
                else:  # a name for other tasks
                    self.process_task_result(node, None)
                    done.append(node)
            if not self._jobs:
                if not exhausted and not self._stop_running:
                    raise InvalidTask("tasks wait for each other in a circle")
                return
            done += self._wait()
            if done:
                exhausted = False

    def _next(self, dispatcher: TaskDispatcher, done: list[ExecNode]) -> Any:
        """The next stale task, "hold on" when all wait for running ones, None when there is none left."""
        node = done.pop(0) if done else None
        while True:
            try:
                node = dispatcher.generator.send(node)
            except StopIteration:
                return None
            if node == "hold on":
                if not done:
                    return node
                node = done.pop(0)
            elif self.select_task(node, dispatcher.tasks):
                return node

    def _start(self, node: ExecNode) -> None:
        task = node.task
        if (before := self.dep_manager.seconds(task.name)) is not None:
            self.reporter.expected[task.name] = before
        self.dep_manager.remove_success(task)
        self.dep_manager.look_again()
        if self._watcher is None:
            prctl(SET_CHILD_SUBREAPER, 1)
            self._watcher = Watcher(self._lock)
        try:
            pid, pipe = worker.start(task, self._watcher)
        except OSError as error:
            raise explained(error) from error
        job = Job(node, pid, pipe, time.monotonic())
        self._jobs[pid] = job
        self._selector.register(pipe, selectors.EVENT_READ, job)
        self.reporter.reasons[task.name] = self.dep_manager.reasons.get(task.name, [])
        self.reporter.execute_task(task)

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
                        self.reporter.message(job.task, message)

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
        if "result" in job.answer:
            self._succeed(job)
            return job.node
        error, hint = job.answer.get("error"), job.answer.get("hint", "")
        if error is None:
            error = (
                f"its worker was killed by {signal.Signals(-status).name}" if status < 0 else f"exit {status}"
            )
            hint = "out of memory? (dmesg)" if status == -signal.SIGKILL else ""
        self._fail(job, BuildError(error, hint))
        return job.node

    def _succeed(self, job: Job) -> None:
        task, result = job.task, job.answer["result"]
        seconds = time.monotonic() - job.started
        spec = artifact_of(task)
        if spec is None:
            task.values.update(result["values"])
            task.result = result["result"]
            self.process_task_result(job.node, None)
            return
        for path, (mark, sha256) in result["files"].items():
            self.dep_manager.digests.learn(path, mark, sha256)
        try:
            if changed := self.dep_manager.changed_while_running(spec):
                raise BuildError(f"{', '.join(changed)} changed while the task ran", "run again")
            self.dep_manager.save_artifact(spec, result["targets"], seconds)
        except BuildError as error:
            self._fail(job, error)
            return
        job.node.run_status = "successful"
        self.reporter.made(spec, result["size"], seconds)

    def _fail(self, job: Job, error: BuildError) -> None:
        self.reporter.failed(job.task, error)
        self._handle_task_error(job.node, TaskError(str(error), report=False))
        if self._jobs and self._stop_running:
            self.reporter.waiting_for([other.task.name for other in self._jobs.values()])

    def _handle_task_error(self, node: ExecNode, base_fail: BaseFail) -> None:
        """As doit does it, but what was not begun, for want of what it needs, keeps its record."""
        if not isinstance(base_fail, UnmetDependency):
            super()._handle_task_error(node, base_fail)
            return
        node.run_status = "failure"
        self.final_result = ERROR
        self.reporter.add_failure(node.task, base_fail)

    def _drop(self, job: Job) -> None:
        """Forget a worker that has been reaped, with whatever it left in its process group."""
        del self._jobs[job.pid]
        self._selector.unregister(job.pipe)
        os.close(job.pipe)
        end_group(job.pid)
        if self._watcher:
            self._watcher.forget(job.pid)
        if (spec := artifact_of(job.task)) is not None:
            try:
                discard(spec)
            except OSError:  # no file handle to look into a folder? The run gives some back at its end
                self._remains.append(spec)

    def _remove_remains(self) -> None:
        """Remove what could not be removed when its worker ended.

        Raises OSError, the last one, when something stays.
        """
        failed: OSError | None = None
        for spec in self._remains:
            try:
                discard(spec)
            except OSError as error:
                failed = error
        if failed is not None:
            raise failed

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
            end_group(job.pid)
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
        caught = [number for number in STOP_SIGNALS if not hangup_ignored(number)]
        before = {number: signal.signal(number, self._note) for number in (*caught, signal.SIGCHLD)}
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
