"""Write what is published of the configuration's keys."""

from __future__ import annotations

from typing import Any

from tasks import configdocs
from tasks.lib.engine.command import Command
from tasks.lib.errors import BuildError
from tasks.lib.paths import TOP

OPTIONS = (
    {"name": "check", "long": "check", "type": bool, "default": False,
     "help": "change nothing, fail when something would change"},
)  # fmt: skip


class Plugin(Command):
    """Keep docs/ true."""

    name = "docs"
    doc_purpose = "write docs/cloud-init.schema.json and the tables of docs/cloud-init.md anew"
    doc_usage = ""
    cmd_options = OPTIONS

    def execute(self, opt_values: Any, pos_args: list[str]) -> int:
        """Write the files; raises BuildError for an argument, and with --check when a file is not current."""
        if pos_args:
            raise BuildError(f"docs: takes no argument: {pos_args[0]}", "see ./doit help docs")
        for path, text in configdocs.files().items():
            if path.exists() and path.read_text() == text:
                continue
            if opt_values["check"]:
                raise BuildError(f"{path.relative_to(TOP)} is not current", "./doit docs writes it")
            path.write_text(text)
            print(path.relative_to(TOP))
        return 0
