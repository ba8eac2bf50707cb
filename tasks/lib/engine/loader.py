"""Loads dodo.py and checks the whole graph before anything runs."""

from __future__ import annotations

import importlib
import inspect
import os
import traceback
from pathlib import Path
from typing import Any

from doit.cmd_base import Command, TaskLoader2
from doit.exceptions import InvalidDodoFile, InvalidTask
from doit.loader import generate_tasks, load_doit_config
from doit.task import Task

from tasks.lib.engine.spec import relative
from tasks.lib.errors import BuildError
from tasks.lib.paths import TOP

PREFIX = "task_"


class Loader(TaskLoader2):
    """Tasks are the functions task_* that dodo.py defines or imports, in that order."""

    cmd_options = ()

    def __init__(self) -> None:
        super().__init__()
        self.namespace: dict[str, Any] = {}

    def setup(self, opt_values: dict[str, Any]) -> None:
        """Import dodo.py.

        Raises BuildError naming the line when a task module can not be imported.
        """
        try:
            self.namespace = dict(vars(importlib.import_module("dodo")))
        except BuildError:
            raise
        except Exception as error:
            raise BuildError(f"{_origin(error)}: {type(error).__name__}: {error}") from error

    def load_doit_config(self) -> dict[str, Any]:
        """The dictionary DOIT_CONFIG of dodo.py."""
        config: dict[str, Any] = load_doit_config(self.namespace)
        return config

    def load_tasks(self, cmd: Command, pos_args: list[str]) -> list[Task]:
        """All tasks, with dependencies between them filled in.

        Raises BuildError or doit's InvalidTask, InvalidDodoFile.
        """
        tasks: list[Task] = []
        for name, creator in self.namespace.items():
            if not name.startswith(PREFIX) or not inspect.isfunction(creator):
                continue
            try:
                made = generate_tasks(name.removeprefix(PREFIX), creator(), creator.__doc__)
            except (BuildError, InvalidTask, InvalidDodoFile):
                raise
            except Exception as error:
                raise BuildError(f"{_origin(error)}: {type(error).__name__}: {error}") from error
            tasks.extend(made)
        check_names(tasks, self.cmd_names)
        connect(tasks)
        return tasks


def _origin(error: Exception) -> str:
    """File and line, inside the checkout if possible, where an exception was raised."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{relative(error.filename)}:{error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    inside = [frame for frame in frames if Path(frame.filename).is_relative_to(TOP)]
    frame = (inside or frames)[-1]
    return f"{relative(frame.filename)}:{frame.lineno}"


def check_names(tasks: list[Task], commands: list[str]) -> None:
    """Raise BuildError when a name is used twice or is that of a command."""
    seen: set[str] = set(commands)
    for task in tasks:
        if task.name in seen:
            raise BuildError(f"task {task.name}: the name is taken by another task or a command")
        seen.add(task.name)


def connect(tasks: list[Task]) -> None:
    """Normalise paths and make every task depend on the makers of its inputs.

    An input folder that contains other tasks' targets waits for them too. Raises BuildError when two tasks
    have the same target or one target lies inside another.
    """
    makers: dict[str, Task] = {}
    for task in tasks:
        task.targets = [relative(target) for target in task.targets]
        task.file_dep = {relative(path) for path in task.file_dep}
        for target in task.targets:
            if target in makers:
                raise BuildError(f"{target} is the target of both {makers[target].name} and {task.name}")
            makers[target] = task
    for target, task in makers.items():
        for parent in Path(target).parents:
            if str(parent) in makers:
                other = makers[str(parent)].name
                raise BuildError(f"target {target} of {task.name} lies inside target {parent} of {other}")
    for task in tasks:
        for path in sorted(task.file_dep):
            for maker in _makers_of(path, makers):
                if maker is not task and maker.name not in task.task_dep:
                    task.task_dep.append(maker.name)


def _makers_of(path: str, makers: dict[str, Task]) -> list[Task]:
    """The tasks that make `path`, something above it or something below it."""
    if path in makers:
        return [makers[path]]
    above = [makers[str(parent)] for parent in Path(path).parents if str(parent) in makers]
    inside = f"{path}{os.sep}"
    return above + [task for target, task in makers.items() if target.startswith(inside)]
