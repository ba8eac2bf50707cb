"""The command line: doit with our commands, loader, runner and errors."""

from __future__ import annotations

import getopt
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import Any

from doit.cmd_base import Command
from doit.cmdparse import CmdParseError
from doit.doit_cmd import DoitMain
from doit.exceptions import InvalidCommand, InvalidDodoFile, InvalidTask
from doit.plugin import PluginDict, PluginEntry

from tasks.lib.engine.execution import explained
from tasks.lib.engine.loader import Loader
from tasks.lib.engine.runner import STOP_SIGNALS, Interrupted
from tasks.lib.errors import BuildError
from tasks.lib.paths import TOP

USAGE_ERROR = 3


class Main(DoitMain):
    """doit's main program with the commands of tasks/commands; options may stand before the task's name."""

    BIN_NAME = "./doit"

    def __init__(self) -> None:
        super().__init__(task_loader=Loader(), config_filenames=())

    def get_cmds(self) -> PluginDict:
        """Every module of tasks/commands is a command: dev_vm.py with its class Plugin is `dev-vm`."""
        commands = PluginDict()
        for path in sorted((TOP / "tasks" / "commands").glob("[a-z]*.py")):
            name = path.stem.replace("_", "-")
            commands[name] = PluginEntry("COMMAND", name, f"tasks.commands.{path.stem}:Plugin")
        return commands

    def run(self, all_args: Sequence[str]) -> int:
        """Run one command and return its exit status.

        Raises BuildError and doit's exceptions for wrong usage.
        """
        commands = self.get_cmds()
        self.task_loader.cmd_names = sorted(commands)
        self.task_loader.config = self.config
        arguments = list(all_args)
        if arguments[:1] in (["--help"], ["-h"]):
            arguments = ["help"]
        elif arguments[:1] == ["--version"]:
            arguments = ["help", "--version"]
        name = arguments.pop(0) if arguments and arguments[0] in commands else "run"
        if name != "help" and ({"--help", "-h"} & set(arguments[: _first_separator(arguments)])):
            name, arguments = "help", [name]
        command = commands.get_plugin(name)(
            task_loader=self.task_loader,
            config=self.config,
            bin_name=self.BIN_NAME,
            cmds=commands,
            opt_vals={},
        )
        if not getattr(command, "raw_arguments", False):
            arguments = permuted(command, arguments)
        return int(command.parse_execute(arguments) or 0)


def build(*names: str) -> None:
    """Bring tasks up to date from within a command.

    Raises BuildError when one fails; what failed has been shown already.
    """
    status = Main().run(["run", *names])
    if status:
        sys.stdout.flush()
        raise BuildError(f"{', '.join(names)} could not be built")


def permuted(command: Command, arguments: list[str]) -> list[str]:
    """The arguments with all options first, as doit stops at the first that is none.

    Raises CmdParseError for an unknown option.
    """
    parser = command.cmdparser
    try:
        options, names = getopt.gnu_getopt(arguments, parser.get_short(), parser.get_long())
    except getopt.GetoptError as error:
        hint = f"./doit {command.name} --help shows the options"
        raise CmdParseError(f"{command.name}: {error.msg}\n  hint: {hint}") from error
    front = [word for option, value in options for word in ([option, value] if value else [option])]
    return [*front, "--", *names] if any(name.startswith("-") for name in names) else [*front, *names]


def _first_separator(arguments: list[str]) -> int:
    return arguments.index("--") if "--" in arguments else len(arguments)


def main(arguments: Sequence[str]) -> int:
    """Run the command line; returns the exit status: 128 + signal, 3 for wrong usage, 1 or 2 for failures."""
    _handle_signals()
    os.umask(0o022)
    try:
        return _translated(arguments)
    except Interrupted as error:
        return 128 + error.number
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 128 + signal.SIGPIPE


def _translated(arguments: Sequence[str]) -> int:
    try:
        status = Main().run(arguments)
        sys.stdout.flush()
        return status
    except BuildError as error:
        text = error.what + (f"\n  hint: {error.hint}" if error.hint else "")
        return _refuse(text, 1)
    except InvalidCommand as error:
        return _refuse(str(error), USAGE_ERROR)
    except (CmdParseError, InvalidDodoFile, InvalidTask) as error:
        return _refuse(str(error), USAGE_ERROR)
    except BrokenPipeError:
        raise
    except OSError as error:
        return _refuse(str(explained(error)), 1)


def _refuse(text: str, status: int) -> int:
    sys.stdout.flush()
    sys.stderr.write(f"doit: {text}\n")
    return status


def _handle_signals() -> None:
    def stop(number: int, frame: FrameType | None) -> Any:
        raise Interrupted(number)

    for number in STOP_SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN or number == signal.SIGINT:
            signal.signal(number, stop)
