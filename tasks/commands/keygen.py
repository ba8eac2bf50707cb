"""Makes a key pair for signing updates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tasks.lib.engine.command import Command, option
from tasks.lib.release import signing

DEFAULT = "update.pem"
DESCRIPTION = """\
Writes an Ed25519 key pair: the private key (PKCS #8, PEM, readable by you alone, without a password) and
beside it the public key as FILE.pub, 64 hex digits. What is there is never overwritten. docs/update-server.md
says how to keep, use, rotate and lose a key.
"""
NEXT = """\
{key}: the private key. Keep it off the network, with a copy elsewhere: whoever has it updates your nodes.
{key}.pub: the public key. Name it in versions.toml, and every image that is built from then on trusts it:

    [update]
    keys = ["{public}"]

Sign with ./doit sign output/update/stable/amd64/latest.json --key {key}"""


class Plugin(Command):
    """Make a key pair."""

    doc_purpose = "make an Ed25519 key pair for signing updates"
    doc_description = DESCRIPTION
    cmd_options = (option("out", DEFAULT, "the private key's file; the public key's name has .pub appended"),)

    def execute(self, opt_values: Any, pos_args: list[str]) -> int:
        """Write both keys, and say what comes next; raises BuildError when one is there already."""
        path = Path(opt_values["out"]).expanduser()
        print(NEXT.format(key=path, public=signing.make_pair(path)))
        return 0
