"""The command line: which command is meant, signals, and errors as one line."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType

from doit.cmdparse import CmdParseError
from doit.exceptions import InvalidCommand, InvalidDodoFile, InvalidTask

from tasks.lib.engine.command import command, command_names
from tasks.lib.engine.execution import explained
from tasks.lib.engine.runner import Interrupted, stop_signals
from tasks.lib.errors import BuildError

USAGE_ERROR = 3


def run(arguments: Sequence[str]) -> int:
    """Run the command that the arguments name, or `run`, and return its exit status.

    Raises BuildError and doit's exceptions for wrong usage.
    """
    words = list(arguments)
    if words[:1] in (["--help"], ["-h"]):
        words = ["help"]
    elif words[:1] == ["--version"]:
        words = ["help", "--version"]
    name = words.pop(0) if words and words[0] in command_names() else "run"
    own = words[: words.index("--")] if "--" in words else words
    if name != "help" and {"--help", "-h"} & set(own):
        name, words = "help", [name]
    return command(name).parse_execute(words)


def build(*names: str) -> None:
    """Bring tasks up to date from within a command.

    Raises BuildError when one fails; what failed has been shown already.
    """
    status = run(["run", *names])
    if status:
        sys.stdout.flush()
        raise BuildError(f"{', '.join(names)} could not be built")


def main(arguments: Sequence[str]) -> int:
    """Run the command line; returns the exit status: 128 + signal, 3 for wrong usage, 1 or 2 for failures."""
    for number in stop_signals():
        signal.signal(number, _interrupt)
    os.umask(0o022)
    try:
        status = run(arguments)
        sys.stdout.flush()
        return status
    except Interrupted as error:
        return 128 + error.number
    except BuildError as error:
        return _refuse(error, 1)
    except (InvalidCommand, CmdParseError, InvalidDodoFile, InvalidTask) as error:
        return _refuse(BuildError(str(error)), USAGE_ERROR)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 128 + signal.SIGPIPE
    except OSError as error:
        return _refuse(explained(error), 1)


def _refuse(error: BuildError, status: int) -> int:
    sys.stdout.flush()
    hint = f"\n  hint: {error.hint}" if error.hint else ""
    sys.stderr.write(f"doit: {error.what}{hint}\n")
    return status


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise Interrupted(number)
