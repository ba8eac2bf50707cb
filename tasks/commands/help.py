"""How to use ./doit and each of its commands."""

from __future__ import annotations

import platform
from importlib import metadata
from typing import Any

from tasks.lib.engine.command import Command, command, command_names, option
from tasks.lib.engine.suggestions import unknown

USAGE = """\
./doit TASK ...      bring tasks (or the files that they make) up to date; ./doit list shows them
./doit COMMAND ...   one of the commands below; ./doit COMMAND --help explains its options

options before or after TASK:
  -n N   at most N tasks side by side      -c   go on after a failure    -a   even if up to date
  -q     say nothing but errors            -v   show reasons and commands

commands:"""


class Plugin(Command):
    """Usage, in general or of one command."""

    doc_purpose = "how to use ./doit, or one of its commands"
    doc_usage = "[COMMAND]"
    cmd_options = (option("version", False, "show versions"),)

    def execute(self, opt_values: Any, pos_args: list[str]) -> int:
        """Print the usage; raises BuildError for an unknown command."""
        if opt_values["version"]:
            print(f"doit {metadata.version('doit')}, Python {platform.python_version()}")
        elif not pos_args:
            print(USAGE)
            for name in command_names():
                print(f"  {name:<14}{command(name).doc_purpose}")
        elif pos_args[0] in command_names():
            _print_help(command(pos_args[0]))
        else:
            raise unknown(pos_args[0], command_names(), "a command")
        return 0


def _print_help(shown: Command) -> None:
    """Purpose, usage and one line for each option of a command."""
    print(f"./doit {shown.name} {shown.doc_usage}".rstrip())
    print(f"  {shown.doc_purpose}")
    if shown.doc_description:
        print(f"\n{shown.doc_description.strip()}")
    lines = []
    for found in shown.cmdparser.options:
        short = f"-{found.short}, " if found.short else ""
        value = "" if found.type is bool else f" {found.type.__name__}"
        lines.append((f"{short}--{found.long}{value}", found.help))
    width = max((len(left) for left, _ in lines), default=0) + 2
    if lines:
        print("\noptions:\n" + "\n".join(f"  {left:<{width}}{right}" for left, right in lines))
