"""Bring tasks up to date; what `./doit TASK` does."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from doit.cmd_base import tasks_and_deps_iter
from doit.control import TaskControl

from tasks.lib.engine.checkout_lock import cache_lock, checkout_lock
from tasks.lib.engine.command import GraphCommand
from tasks.lib.engine.reporter import NORMAL, QUIET, VERBOSE, Reporter
from tasks.lib.engine.runner import Interrupted, ParallelRunner
from tasks.lib.engine.spec import relative
from tasks.lib.engine.suggestions import unknown
from tasks.lib.errors import BuildError
from tasks.lib.paths import BUILD, cache_dir

OPTIONS = (
    {"name": "process", "short": "n", "long": "process", "type": int, "default": 0,
     "help": "how many tasks run side by side [default: number of cores + 1]"},
    {"name": "always", "short": "a", "long": "always-execute", "type": bool, "default": False,
     "help": "run tasks even when they are up to date"},
    {"name": "keep_going", "short": "c", "long": "continue", "type": bool, "default": False,
     "help": "go on with other tasks after a failure"},
    {"name": "quiet", "short": "q", "long": "quiet", "type": bool, "default": False,
     "help": "say nothing but errors"},
    {"name": "verbose", "short": "v", "long": "verbose", "type": bool, "default": False,
     "help": "show all reasons, commands and notes"},
    {"name": "offline", "short": "", "long": "offline", "type": bool, "default": False,
     "help": "use no network: what is not cached is an error (or KUBESOLO_OFFLINE=1)"},
)  # fmt: skip


class Plugin(GraphCommand):
    """Make targets; only what is stale is rebuilt."""

    name = "run"
    doc_purpose = "bring tasks up to date (the default command)"
    doc_usage = "[TASK|TARGET ...]"
    cmd_options = OPTIONS
    execute_tasks = True

    def execute(self, params: Any, args: list[str]) -> int:
        """Take the checkout's lock first, so that sources are read only when nobody else is at work."""
        with checkout_lock(BUILD / ".lock") as lock, cache_lock(cache_dir(), alone=False):
            self._lock = lock
            return super().execute(params, args)

    def _execute(  # type: ignore[override]
        self, process: int, always: bool, keep_going: bool, quiet: bool, verbose: bool, offline: bool
    ) -> int:
        if offline:
            os.environ["KUBESOLO_OFFLINE"] = "1"
        control = TaskControl(self.task_list)
        control.process(self._selected(control))
        self._check_inputs(control)
        level = QUIET if quiet else VERBOSE if verbose else NORMAL
        reporter = choose_reporter(level)
        runner = ParallelRunner(
            self.dep_manager,
            reporter,
            keep_going=keep_going,
            always=always,
            slots=process or len(os.sched_getaffinity(0)) + 1,  # one more: downloads wait for the network
            lock=self._lock,
        )
        try:
            return int(runner.run_all(control.task_dispatcher()))
        except Interrupted as error:
            reporter.interrupted(signal.Signals(error.number).name)
            raise

    def _check_inputs(self, control: TaskControl) -> None:
        """Raise BuildError, before anything starts, for inputs that do not exist and that nobody makes."""
        made = set(control.targets)
        for task in tasks_and_deps_iter(control.tasks, control.selected_tasks):
            for path in sorted(task.file_dep - made):
                above = {str(parent) for parent in Path(path).parents}
                if not (os.path.lexists(path) or above & made):
                    what = f"task {task.name}: input {path} does not exist"
                    raise BuildError(what, "no task makes it either")

    def _selected(self, control: TaskControl) -> list[str] | None:
        """Names and targets as doit knows them; raises BuildError for one that it does not know."""
        if not self.sel_tasks:
            return None
        chosen = []
        for name in self.sel_tasks:
            known = name if name in control.tasks or "*" in name else relative(name)
            if known not in control.tasks and known not in control.targets and "*" not in known:
                commands = [*control.tasks, *control.targets, *self.loader.cmd_names]
                raise unknown(name, commands, "a command, a task or a target")
            chosen.append(known)
        return chosen


def choose_reporter(level: int) -> Reporter:
    """Live lines on a terminal, plain lines elsewhere."""
    if level == NORMAL and sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb":
        from tasks.lib.engine.live import LiveReporter

        return LiveReporter(sys.stdout, level)
    return Reporter(sys.stdout, level)
