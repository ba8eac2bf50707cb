"""Base classes of our commands: the task database and the graph."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from doit.cmd_base import Command, DoitCmdBase
from doit.cmdparse import DefaultUpdate
from doit.control import TaskControl
from doit.task import Task

from tasks.lib.engine.records import Records, artifact_of
from tasks.lib.engine.spec import Artifact, relative
from tasks.lib.engine.suggestions import unknown
from tasks.lib.errors import BuildError
from tasks.lib.paths import BUILD, TOP

DATABASE = BUILD / "tasks.db"

__all__ = ["DATABASE", "Command", "GraphCommand"]


class GraphCommand(DoitCmdBase):
    """A command that works on the tasks: fill in `_execute` as with doit's own commands."""

    base_options = ()  # type: ignore[assignment]
    dep_manager: Records
    task_list: list[Task]

    def __init__(self, task_loader: Any, cmds: Any = None, **kwargs: Any) -> None:
        super().__init__(task_loader, cmds=cmds, **kwargs)
        self._commands = cmds

    def get_backends(self) -> dict[str, Any]:
        """There is one backend only; doit would scan all installed packages for more."""
        return {"engine": None}

    def execute(self, params: Any, args: list[str]) -> int:
        """Open the database and the graph, then run `_execute`."""
        self._user_folder = Path.cwd()
        os.chdir(TOP)
        self.dep_manager = Records(DATABASE, TOP)
        params = DefaultUpdate(params) if type(params) is dict else params
        for name, value in {"backend": "engine", "dep_file": str(DATABASE), "codec_cls": "json"}.items():
            params.set_default(name, value)
        params.set_default("check_file_uptodate", type(self.dep_manager.checker))
        try:
            return int(super().execute(params, args) or 0)
        finally:
            self.dep_manager.close()

    def user_path(self, path: str) -> Path:
        """A path from the command line, which is meant from where the user stands."""
        return self._user_folder / path

    def graph(self) -> dict[str, Task]:
        """All tasks by name, with their dependencies resolved."""
        tasks: dict[str, Task] = TaskControl(self.task_list).tasks
        return tasks

    def find(self, name: str) -> Task:
        """The task called `name` or making the target `name`; raises BuildError with a suggestion."""
        by_name = {task.name: task for task in self.task_list}
        by_target = {target: task for task in self.task_list for target in task.targets}
        found = by_name.get(name) or by_target.get(relative(name))
        if found is None:
            raise unknown(name, [*by_name, *by_target], "a task or a target")
        return found

    def artifact(self, name: str) -> tuple[Task, Artifact]:
        """The task and its description; raises BuildError when it is not an artifact."""
        task = self.find(name)
        spec = artifact_of(task)
        if spec is None:
            raise BuildError(f"{task.name} is only a name for {', '.join(task.task_dep) or 'nothing'}")
        return task, spec
