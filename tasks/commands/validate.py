"""Says whether a configuration file is right, as the node would."""

from __future__ import annotations

from typing import Any

from agent.validate import validate
from tasks.lib.engine.command import Command, option
from tasks.lib.errors import BuildError

DESCRIPTION = """\
Prints FILE:LINE:COLUMN: KEY: what is wrong, one line for each error and warning. The exit status is 0 without
errors, 1 with errors, 2 when the file cannot be read. docs/cloud-init.md describes the keys.
"""


class Plugin(Command):
    """Check a cloud-init file."""

    doc_purpose = "check a configuration file (cloud-init YAML) for a node"
    doc_usage = "FILE"
    doc_description = DESCRIPTION
    cmd_options = (
        option("json", False, "print errors and warnings as JSON"),
        option("boot", False, "judge as a booting node does: unknown keys are warnings"),
    )

    def execute(self, opt_values: Any, pos_args: list[str]) -> int:
        """Print what is wrong; raises BuildError unless there is one file."""
        if len(pos_args) != 1:
            raise BuildError("validate needs one file, or - for standard input", "see ./doit help validate")
        return validate(pos_args[0], as_json=opt_values["json"], boot=opt_values["boot"])
