"""Loads dodo.py and checks the whole graph before anything runs."""

from __future__ import annotations

import importlib
import inspect
import os
import traceback
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice, takewhile
from pathlib import Path

from doit.exceptions import InvalidDodoFile, InvalidTask
from doit.loader import generate_tasks, load_doit_config
from doit.task import Task

from tasks.lib.engine.spec import relative
from tasks.lib.errors import BuildError
from tasks.lib.paths import TOP

PREFIX = "task_"


def load(reserved: Iterable[str]) -> tuple[list[Task], list[str]]:
    """All tasks, with dependencies between them filled in, and the names of those that are made by default.

    Tasks are made by the functions task_* that dodo.py defines or imports, in that order. reserved: names
    that no task may have. Raises BuildError, which names the line of an error in a task module, or doit's
    InvalidTask and InvalidDodoFile.
    """
    with _errors_named():
        dodo = vars(importlib.import_module("dodo"))
        tasks = [
            task
            for name, creator in dodo.items()
            if name.startswith(PREFIX) and inspect.isfunction(creator)
            for task in generate_tasks(name.removeprefix(PREFIX), creator(), creator.__doc__)
            if not task.has_subtask  # what doit makes of a function that yields nothing
        ]
    check(tasks, reserved)
    connect(tasks)
    return tasks, load_doit_config(dodo).get("default_tasks") or [task.name for task in tasks]


@contextmanager
def _errors_named() -> Iterator[None]:
    """Errors in task modules become a BuildError with file and line, inside the checkout if possible."""
    try:
        yield
    except (BuildError, InvalidTask, InvalidDodoFile):
        raise
    except Exception as error:
        if isinstance(error, SyntaxError) and error.filename:
            place, line = error.filename, error.lineno
        else:
            frames = traceback.extract_tb(error.__traceback__)
            inside = [frame for frame in frames if Path(frame.filename).is_relative_to(TOP)]
            place, line = (inside or frames)[-1].filename, (inside or frames)[-1].lineno
        raise BuildError(f"{relative(place)}:{line}: {type(error).__name__}: {error}") from error


def check(tasks: list[Task], reserved: Iterable[str]) -> None:
    """Raise BuildError when a name is used twice or reserved, and for a task that artifact() did not make."""
    seen = set(reserved)
    for task in tasks:
        if task.name in seen:
            raise BuildError(f"task {task.name}: the name is taken by another task or a command")
        if "artifact" not in (task.meta or {}):
            raise BuildError(f"task {task.name} was not made by artifact()", "see docs/developing.md")
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
        for parent in _above(target):
            if parent in makers:
                other = makers[parent].name
                raise BuildError(f"target {target} of {task.name} lies inside target {parent} of {other}")
    targets = sorted(makers)
    for task in tasks:
        for path in sorted(task.file_dep):
            for maker in _makers_of(path, makers, targets):
                if maker is not task and maker.name not in task.task_dep:
                    task.task_dep.append(maker.name)


def _makers_of(path: str, makers: dict[str, Task], targets: list[str]) -> list[Task]:
    """The tasks that make `path`, what it lies in or what lies in it; `targets`: all, sorted."""
    if path in makers:
        return [makers[path]]
    above = [makers[parent] for parent in _above(path) if parent in makers]
    inside = f"{path}{os.sep}"
    after = islice(targets, bisect_left(targets, inside), None)
    return above + [makers[target] for target in takewhile(lambda target: target.startswith(inside), after)]


def _above(path: str) -> Iterator[str]:
    """The folders that a path lies in, the nearest first."""
    while path := path.rpartition(os.sep)[0]:
        yield path
