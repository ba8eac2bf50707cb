"""Lets a key log in to the nodes of a disk image, for debugging."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from agent.config import source
from agent.config.problems import errors
from tasks import diskimage
from tasks.lib.debian import tools
from tasks.lib.engine.command import Command
from tasks.lib.errors import BuildError
from tasks.lib.process import run
from tasks.lib.vm.disks import copy_disk

DESCRIPTION = """\
Writes a copy of a disk image whose data partition holds a configuration with this key: its nodes take it on
port 22, for root, without a password. Whoever has the image sees the key; it is for debugging, not for
hand-out. An image that has a configuration already is left alone: name the key there.
"""
OPTIONS = (
    {"name": "key", "long": "key", "type": str, "default": "",
     "help": "file with public keys, such as ~/.ssh/id_ed25519.pub"},
    {"name": "image", "long": "image", "type": str, "default": "",
     "help": "the disk image [default: the built one]"},
    {"name": "out", "long": "out", "type": str, "default": "",
     "help": "the copy [default: IMAGE with .ssh.img]"},
)  # fmt: skip
FOLDER = "etc-kubesolo"
FILE = f"{FOLDER}/cloud-init.yaml"


class Plugin(Command):
    """Write a copy of a disk image that a key can log in to."""

    name = "inject-ssh"
    doc_purpose = "copy a disk image and let an SSH key in, for debugging"
    doc_usage = "--key FILE"
    doc_description = DESCRIPTION  # type: ignore[assignment]
    cmd_options = OPTIONS

    def execute(self, opt_values: Any, pos_args: list[str]) -> int:
        """Write the copy; raises BuildError for what is no key, no image, or has a configuration."""
        if pos_args or not opt_values["key"]:
            raise BuildError("inject-ssh needs --key FILE", "see ./doit help inject-ssh")
        text = configuration(Path(opt_values["key"]).expanduser())
        image = chosen_image(opt_values["image"])
        out = Path(opt_values["out"]) if opt_values["out"] else image.with_name(f"{image.stem}.ssh.img")
        inject(image, text, out)
        print(f"{out}: root may log in with the keys of {opt_values['key']}")
        return 0


def configuration(keys: Path) -> str:
    """A configuration file that lets these keys in; BuildError when the node would not take it."""
    try:
        lines = [line.strip() for line in keys.read_text().splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise BuildError(f"{keys}: cannot be read: {error}", "name a file with public keys") from error
    found = [line for line in lines if line and not line.startswith("#")]
    if not found:
        raise BuildError(f"{keys}: holds no key", "it must hold public keys, one a line")
    if any("PRIVATE KEY" in line for line in found):
        raise BuildError(f"{keys} is a private key", "name the file that ends in .pub")
    rows = "".join(f"    - {line}\n" for line in found)
    text = f"#cloud-config\nssh:\n  enabled: true\n  authorized_keys:\n{rows}"
    if wrong := errors(source.read_file(str(keys), text.encode(), boot=False).problems):
        raise BuildError(f"{keys}: {wrong[0].text}", "it must hold public keys, one a line")
    return text


def chosen_image(given: str) -> Path:
    """The image that is named, or the built one; BuildError when it is not there."""
    from dodo import TARGET

    image = Path(given) if given else diskimage.product(TARGET).path
    if not image.is_file():
        raise BuildError(f"{image}: no such file", "./doit disk-image makes one")
    return image


def inject(image: Path, text: str, out: Path) -> None:
    """Copy the image and put the file into its data partition, whole or not at all."""
    row = diskimage.LAYOUT[diskimage.DATA - 1]
    with tempfile.TemporaryDirectory(prefix=".inject-", dir=out.parent) as folder:
        copy, source_file = Path(folder, "disk.img"), Path(folder, "cloud-init.yaml")
        copy_disk(image, copy)
        source_file.write_text(text)
        place = f"{copy}?offset={row.offset}"
        if b"Inode:" in debugfs(f"stat /{FILE}", place):
            raise BuildError(f"{image} has a configuration already", f"add the key to its {FILE}")
        for request in (
            f"mkdir /{FOLDER}",
            f"write {source_file} /{FILE}",
            f"set_inode_field /{FILE} mode 0100600",
        ):
            debugfs(request, place)
        if b"Inode:" not in debugfs(f"stat /{FILE}", place):
            raise BuildError(
                f"{image}: its data partition can not be written", "is it a disk image of this version?"
            )
        copy.replace(out)


def debugfs(request: str, place: str) -> bytes:
    """What debugfs says to a request; it ends with status 0 whatever happens."""
    return run([*tools.command("debugfs"), "-w", "-R", request, place]).stdout
