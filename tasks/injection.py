"""A disk image's copy that lets a key log in to its nodes."""

from __future__ import annotations

import tempfile
from pathlib import Path

from agent.config import source
from agent.config.problems import errors
from tasks import diskimage
from tasks.lib.debian import tools
from tasks.lib.errors import BuildError
from tasks.lib.process import run
from tasks.lib.vm.disks import copy_disk

FOLDER = "etc-kubesolo"
FILE = f"{FOLDER}/cloud-init.yaml"


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
