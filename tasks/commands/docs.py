"""Write what is published of the configuration's keys."""

from __future__ import annotations

from typing import Any

from tasks import configdocs
from tasks.lib.engine.command import Command, option
from tasks.lib.errors import BuildError
from tasks.lib.paths import TOP


class Plugin(Command):
    """Keep docs/ true."""

    doc_purpose = "write docs/cloud-init.schema.json and the tables of docs/cloud-init.md anew"
    cmd_options = (option("check", False, "change nothing, fail when something would change"),)

    def execute(self, opt_values: Any, pos_args: list[str]) -> int:
        """Write the files; raises BuildError with --check when a file is not current."""
        for path, text in configdocs.files().items():
            if path.exists() and path.read_text() == text:
                continue
            if opt_values["check"]:
                raise BuildError(f"{path.relative_to(TOP)} is not current", "./doit docs writes it")
            path.write_text(text)
            print(path.relative_to(TOP))
        return 0
