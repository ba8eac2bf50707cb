"""Bring tasks up to date; what `./doit TASK` does."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from doit.cmd_base import tasks_and_deps_iter

from tasks.lib.engine.capacity import processors
from tasks.lib.engine.checkout_lock import cache_lock, checkout_lock
from tasks.lib.engine.command import GraphCommand, command_names, option
from tasks.lib.engine.reporter import NORMAL, QUIET, VERBOSE, Reporter
from tasks.lib.engine.runner import Interrupted, ParallelRunner
from tasks.lib.engine.spec import relative
from tasks.lib.engine.suggestions import unknown
from tasks.lib.errors import BuildError
from tasks.lib.paths import BUILD, cache_dir


class Plugin(GraphCommand):
    """Make targets; only what is stale is rebuilt."""

    doc_purpose = "bring tasks up to date (the default command)"
    doc_usage = "[TASK|TARGET ...]"
    cmd_options = (
        option("process", 0, "how many tasks run side by side [default: number of cores + 1]", "n"),
        option("always-execute", False, "run tasks even when they are up to date", "a"),
        option("continue", False, "go on with other tasks after a failure", "c"),
        option("quiet", False, "say nothing but errors", "q"),
        option("verbose", False, "show all reasons, commands and notes", "v"),
        option("offline", False, "use no network: what is not cached is an error (or KUBESOLO_OFFLINE=1)"),
    )

    def execute(self, opt_values: Any, pos_args: list[str]) -> int:
        """Take the checkout's lock first, so that sources are read only when nobody else is at work."""
        with checkout_lock(BUILD / ".lock") as lock, cache_lock(cache_dir(), alone=False):
            self._lock = lock
            return super().execute(opt_values, pos_args)

    def work(self, options: dict[str, Any], names: list[str]) -> int:
        """Run what is stale of the tasks that are named, or of those that are made by default."""
        if options["offline"]:
            os.environ["KUBESOLO_OFFLINE"] = "1"
        self.control.process([self._known(name) for name in names or self.default_tasks])
        self._check_inputs()
        reporter = choose_reporter(QUIET if options["quiet"] else VERBOSE if options["verbose"] else NORMAL)
        runner = ParallelRunner(
            self.records,
            reporter,
            keep_going=options["continue"],
            always=options["always_execute"],
            # One more than there are cores: downloads wait for the network.
            slots=options["process"] or processors() + 1,
            lock=self._lock,
        )
        try:
            return int(runner.run_all(self.control.task_dispatcher()))
        except Interrupted as error:
            reporter.interrupted(signal.Signals(error.number).name)
            raise

    def _known(self, name: str) -> str:
        """The task, target or pattern as doit knows it; raises BuildError for one that it does not know."""
        known = [*self.tasks, *self.control.targets]
        for found in (name, relative(name)):
            if found in known or "*" in found:
                return found
        raise unknown(name, [*known, *command_names()], "a command, a task or a target")

    def _check_inputs(self) -> None:
        """Raise BuildError, before anything starts, for inputs that do not exist and that nobody makes."""
        made = set(self.control.targets)
        for task in tasks_and_deps_iter(self.tasks, self.control.selected_tasks):
            for path in sorted(task.file_dep - made):
                above = {str(parent) for parent in Path(path).parents}
                if not (os.path.lexists(path) or above & made):
                    what = f"task {task.name}: input {path} does not exist"
                    raise BuildError(what, "no task makes it either")


def choose_reporter(level: int) -> Reporter:
    """Live lines on a terminal, plain lines elsewhere."""
    if level == NORMAL and sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb":
        from tasks.lib.engine.live import LiveReporter

        return LiveReporter(sys.stdout, level)
    return Reporter(sys.stdout, level)
