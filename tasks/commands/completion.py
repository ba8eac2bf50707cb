"""Completion of task and command names for bash and zsh."""

from __future__ import annotations

from typing import Any

from tasks.lib.engine.command import Command
from tasks.lib.errors import BuildError

SCRIPTS = {
    "bash": """\
_kubesolo_os_doit() {
    COMPREPLY=($(compgen -W "$("${COMP_WORDS[0]}" list --names 2>/dev/null)" -- "${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _kubesolo_os_doit doit ./doit
""",
    "zsh": """\
_kubesolo_os_doit() {
    compadd -- ${(f)"$("${words[1]}" list --names 2>/dev/null)"}
    _files
}
compdef _kubesolo_os_doit doit
""",
}


class Plugin(Command):
    """Print a completion script."""

    doc_purpose = 'print a completion script: eval "$(./doit completion bash)"'
    doc_usage = "bash|zsh"

    def execute(self, opt_values: Any, pos_args: list[str]) -> int:
        """Print the script; raises BuildError for another shell."""
        if len(pos_args) != 1 or pos_args[0] not in SCRIPTS:
            raise BuildError("completion needs the name of a shell", "bash or zsh")
        print(SCRIPTS[pos_args[0]], end="")
        return 0
