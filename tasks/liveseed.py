"""NoCloud seeds for the Live CD: a medium labelled cidata, which cloud-init reads at the first boot.

Format: cloud-init's documentation, "NoCloud" (user-data, meta-data and network-config in the root of an ISO
9660 file system).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tasks import live
from tasks.lib.errors import BuildError
from tasks.lib.formats import iso9660
from tasks.lib.formats.tree import Tree

LABEL = "cidata"
HEADER = "#cloud-config\n"
USER = "debian"
PASSWORD = "root"
WARNING = (
    "# For a development machine that nobody else reaches: root logs in with the password root.\n"
    "# A seed for anything else is made with ./doit live-seed --key FILE.\n"
)
SSHD = "/etc/ssh/sshd_config.d/10-seed.conf"
KEY_KINDS = ("ssh-", "ecdsa-", "sk-ssh-", "sk-ecdsa-")

Document = dict[str, Any]


@dataclass(frozen=True)
class Seed:
    """What a machine is told.

    hostname: its name. keys: lines of SSH public keys; without any, root has the password root. run: commands
    for the first boot. files: path to text. network: network-config, version 2, as an object; empty for DHCP.
    """

    hostname: str = live.ID
    keys: tuple[str, ...] = ()
    run: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    network: Mapping[str, Any] = field(default_factory=dict)

    def user_data(self) -> str:
        """The text of user-data."""
        document: Document = {"hostname": self.hostname, "disable_root": False}
        files = dict(self.files)
        if self.keys:
            document |= key_users(self.keys)
        else:
            # Not chpasswd: cloud-init gets to that when the prompt is long there.
            document["users"] = [{"name": "root", "plain_text_passwd": PASSWORD, "lock_passwd": False}]
            files[SSHD] = "PermitRootLogin yes\nPasswordAuthentication yes\n"
        if files:
            document["write_files"] = [{"path": path, "content": text} for path, text in files.items()]
        if self.run:
            document["runcmd"] = list(self.run)
        return HEADER + ("" if self.keys else WARNING) + as_yaml(document)


def key_users(keys: tuple[str, ...]) -> Document:
    """Whoever has one of the keys is root, or a user who may become it."""
    user = {"name": USER, "shell": "/bin/bash", "sudo": "ALL=(ALL) NOPASSWD:ALL", "lock_passwd": True}
    both: list[Document] = [{"name": "root"}, user]
    return {"users": [{**one, "ssh_authorized_keys": list(keys)} for one in both]}


def as_yaml(document: Document) -> str:
    """A document as YAML. JSON is YAML as well, and its lines stay as they are."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def read_keys(path: Path) -> tuple[str, ...]:
    """The public keys of a file, as ssh-keygen writes them.

    Raises BuildError when it has none, or something else.
    """
    try:
        lines = [line.strip() for line in path.read_text().splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise BuildError(f"{path}: can not be read as an SSH public key: {error}") from error
    found = tuple(line for line in lines if line and not line.startswith("#"))
    if not found or not all(line.startswith(KEY_KINDS) and len(line.split()) > 1 for line in found):
        hint = "give the .pub file of ssh-keygen" if "PRIVATE KEY" in "".join(lines) else "one key a line"
        raise BuildError(f"{path}: no SSH public key", hint)
    return found


def read_user_data(path: Path) -> str:
    """Somebody's own user-data; BuildError when cloud-init would not take it for such."""
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise BuildError(f"{path}: can not be read: {error}") from error
    if not text.startswith(("#", "Content-Type:")):
        raise BuildError(f"{path}: not user-data for cloud-init", f"its first line is {HEADER.strip()}")
    return text


def write_seed(user_data: str, network: Mapping[str, Any], out: Path, epoch: int) -> None:
    """Write the medium. Another text is another instance for cloud-init, which then does everything anew.

    epoch: its date, in seconds since 1970.
    """
    identity = hashlib.sha256((user_data + as_yaml(dict(network))).encode()).hexdigest()[:16]
    tree = Tree()
    tree.add_file("user-data", user_data)
    tree.add_file("meta-data", as_yaml({"instance-id": f"{live.ID}-{identity}"}))
    if network:
        tree.add_file("network-config", as_yaml(dict(network)))
    out.parent.mkdir(parents=True, exist_ok=True)
    scratch = out.with_name(f".{out.name}.part")
    try:
        iso9660.write(tree, scratch, LABEL, iso9660.DATA, epoch)
        scratch.rename(out)
    finally:
        scratch.unlink(missing_ok=True)
