"""Signs the manifest of an update bundle."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from tasks.lib.engine.command import Command, option
from tasks.lib.errors import BuildError
from tasks.lib.release import signing

VARIABLE = "KUBESOLO_UPDATE_KEY"
DESCRIPTION = f"""\
Writes FILE.sig: the Ed25519 signature over the bytes of FILE, 64 bytes. JSON files beside it that have the
same bytes get the same signature, as latest.json and VERSION.json are one manifest. With --add it keeps the
signatures that are there, all as lines of 128 hex digits: so that nodes which trust only the old key, and
those that trust only the new one, take the same manifest.

The private key is that of --key, else of ${VARIABLE}.
"""


class Plugin(Command):
    """Sign a file."""

    doc_purpose = "sign the manifest of an update bundle"
    doc_usage = "FILE"
    doc_description = DESCRIPTION
    cmd_options = (
        option("key", "", f"the private key's file, from ./doit keygen [default: ${VARIABLE}]"),
        option("add", False, "keep the signatures that are there"),
    )

    def execute(self, opt_values: Any, pos_args: list[str]) -> int:
        """Sign; raises BuildError unless there are one file and a key, and both can be read."""
        if len(pos_args) != 1:
            raise BuildError("sign needs one file", "such as output/update/stable/amd64/latest.json")
        named = opt_values["key"] or os.environ.get(VARIABLE, "")
        if not named:
            raise BuildError("sign needs a private key", f"name it with --key or {VARIABLE}=FILE")
        key = signing.read_key(Path(named).expanduser())
        for path in signing.sign_file(Path(pos_args[0]), key, add=opt_values["add"]):
            print(f"{path}: by the key {signing.public_hex(key)}")
        return 0
