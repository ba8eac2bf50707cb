"""Lets a key log in to the nodes of a disk image, for debugging."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tasks import diskimage, injection
from tasks.lib.engine.command import Command, option
from tasks.lib.errors import BuildError

DESCRIPTION = """\
Writes a copy of a disk image whose data partition holds a configuration with this key: its nodes take it on
port 22, for root, without a password. Whoever has the image sees the key; it is for debugging, not for
hand-out. An image that has a configuration already is left alone: name the key there.
"""


class Plugin(Command):
    """Write a copy of a disk image that a key can log in to."""

    doc_purpose = "copy a disk image and let an SSH key in, for debugging"
    doc_description = DESCRIPTION
    cmd_options = (
        option("key", "", "file with public keys, such as ~/.ssh/id_ed25519.pub"),
        option("image", "", "the disk image [default: the built one]"),
        option("out", "", "the copy [default: IMAGE with .ssh.img]"),
    )

    def execute(self, opt_values: Any, pos_args: list[str]) -> int:
        """Write the copy; raises BuildError for what is no key, no image, or has a configuration."""
        from dodo import TARGET

        if not opt_values["key"]:
            raise BuildError("inject-ssh needs --key FILE", "see ./doit help inject-ssh")
        text = injection.configuration(Path(opt_values["key"]).expanduser())
        image = Path(opt_values["image"] or diskimage.product(TARGET).path)
        if not image.is_file():
            raise BuildError(f"{image}: no such file", "./doit disk-image makes one")
        out = Path(opt_values["out"] or image.with_name(f"{image.stem}.ssh.img"))
        injection.inject(image, text, out)
        print(f"{out}: root may log in with the keys of {opt_values['key']}")
        return 0
