"""How to use ./doit and each of its commands."""

from __future__ import annotations

from typing import Any

from doit.cmd_base import Command

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

    name = "help"
    doc_purpose = "how to use ./doit, or one of its commands"
    doc_usage = "[COMMAND]"
    cmd_options = (
        {"name": "version", "long": "version", "type": bool, "default": False, "help": "show versions"},
    )

    def __init__(self, cmds: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._commands = cmds
        self._kwargs = kwargs

    def execute(self, opt_values: Any, pos_args: list[str]) -> int:
        """Print the usage; raises BuildError for an unknown command."""
        if opt_values["version"]:
            return _print_versions()
        if not pos_args:
            print(USAGE)
            for name in sorted(self._commands):
                print(f"  {name:<14}{self._commands.get_plugin(name).doc_purpose}")
            return 0
        name = pos_args[0]
        if name not in self._commands:
            raise unknown(name, self._commands, "a command")
        _print_help(name, self._commands.get_plugin(name)(cmds=self._commands, **self._kwargs))
        return 0


def _print_help(name: str, command: Command) -> None:
    """Purpose, usage and one line for each option of a command."""
    print(f"./doit {name} {command.doc_usage}".rstrip())
    print(f"  {command.doc_purpose}")
    if command.doc_description:
        print(f"\n{command.doc_description.strip()}")
    lines = []
    for option in command.cmdparser.options:
        names = [f"-{option.short}"] * bool(option.short) + [f"--{option.long}"] * bool(option.long)
        argument = (
            ""
            if option.type is bool
            else f" {option.metavar if option.metavar != 'ARG' else option.type.__name__}"
        )
        lines.append((", ".join(names) + argument, option.help % {"default": option.default}))
    if lines:
        width = max(len(left) for left, _ in lines) + 2
        print("\noptions:\n" + "\n".join(f"  {left:<{width}}{right}" for left, right in lines))


def _print_versions() -> int:
    import platform
    from importlib import metadata

    print(f"doit {metadata.version('doit')}, Python {platform.python_version()}")
    return 0
