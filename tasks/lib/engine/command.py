"""Base classes of our commands: options anywhere, and the task graph with its records."""

from __future__ import annotations

import getopt
import importlib
import os
from typing import Any

from doit import cmd_base
from doit.cmdparse import CmdParseError
from doit.control import TaskControl
from doit.task import Task

from tasks.lib.engine.loader import load
from tasks.lib.engine.records import Records
from tasks.lib.engine.spec import relative
from tasks.lib.engine.suggestions import unknown
from tasks.lib.errors import BuildError
from tasks.lib.paths import BUILD, TOP

DATABASE = BUILD / "tasks.db"
FOLDER = TOP / "tasks" / "commands"


def command_names() -> list[str]:
    """Every module of tasks/commands is a command: dev_vm.py with its class Plugin is `dev-vm`."""
    return sorted(path.stem.replace("_", "-") for path in FOLDER.glob("[a-z]*.py"))


def command(name: str) -> Command:
    """A command by its name, imported only now."""
    made: Command = importlib.import_module(f"tasks.commands.{name.replace('-', '_')}").Plugin()
    made.name = name
    return made


def option(name: str, default: bool | int | str, text: str, short: str = "") -> dict[str, Any]:
    """An option `--name` as doit wants it; its value is found under the name with underscores."""
    return {
        "name": name.replace("-", "_"),
        "long": name,
        "short": short,
        "type": type(default),
        "default": default,
        "help": text,
    }


class Command(cmd_base.Command):
    """A command of ./doit; one with an empty doc_usage takes options alone."""

    doc_description: str | None = None  # type: ignore[assignment]

    def parse_execute(self, in_args: list[str]) -> int:
        """Run the command.

        Raises CmdParseError for an unknown option, BuildError for an argument that it does not take.
        """
        options, names = self.cmdparser.parse(self._permuted(in_args))
        if names and not self.doc_usage:
            raise BuildError(f"{self.name}: takes no argument: {names[0]}", f"see ./doit help {self.name}")
        return int(self.execute(options, names) or 0)

    def _permuted(self, arguments: list[str]) -> list[str]:
        """The arguments with all options first, as doit stops at the first that is none."""
        parser = self.cmdparser
        try:
            options, names = getopt.gnu_getopt(arguments, parser.get_short(), parser.get_long())
        except getopt.GetoptError as error:
            hint = f"./doit {self.name} --help shows the options"
            raise CmdParseError(f"{self.name}: {error.msg}\n  hint: {hint}") from error
        front = [word for pair in options for word in pair if word]
        return [*front, "--", *names]


class GraphCommand(Command):
    """A command that works on the tasks: fill in `work`."""

    records: Records
    control: TaskControl
    tasks: dict[str, Task]
    default_tasks: list[str]

    def execute(self, opt_values: Any, pos_args: list[str]) -> int:
        """Open the database and load the graph, then work."""
        os.chdir(TOP)
        self.records = Records(DATABASE, TOP)
        try:
            tasks, self.default_tasks = load(command_names())
            self.control = TaskControl(tasks)
            self.tasks = self.control.tasks
            return self.work(opt_values, pos_args)
        finally:
            self.records.close()

    def work(self, options: dict[str, Any], names: list[str]) -> int:
        """What the command does, with its options' values and its arguments; returns the exit status."""
        raise NotImplementedError

    def find(self, name: str) -> Task:
        """The task called `name` or making the target `name`; raises BuildError with a suggestion."""
        targets = self.control.targets
        found = self.tasks.get(name) or self.tasks.get(targets.get(relative(name), ""))
        if found is None:
            raise unknown(name, [*self.tasks, *targets], "a task or a target")
        return found
