"""What the machines of live-vm are told at their first boot, so that they are a cluster."""

from __future__ import annotations

import secrets
import string
from collections.abc import Sequence
from pathlib import Path

from tasks import live
from tasks.lib.vm.livevm import MAC
from tasks.lib.vm.livevm import token as token_of
from tasks.liveseed import Seed

# On the wire between the machines, of which the first is 1.
ADDRESS = "192.168.77.{}"
TOKEN_SECONDS = "24h"
API = 6443
INIT = "/usr/lib/k8s-livecd/cluster init"


def new_token() -> str:
    """A bootstrap token (Kubernetes' documentation, "Token Format")."""
    letters = string.ascii_lowercase + string.digits
    first, second = ("".join(secrets.choice(letters) for _ in range(length)) for length in (6, 16))
    return f"{first}.{second}"


def kept_token(folder: Path) -> str:
    """The token of the machines whose disks are in this folder: a second start is to be the same instance."""
    place = token_of(folder)
    if not place.exists():
        folder.mkdir(parents=True, exist_ok=True)
        place.touch(0o600)
        place.write_text(new_token())
    return place.read_text()


def network(number: int) -> dict[str, object]:
    """network-config: DHCP on the card that leads outside, a fixed address on the wire."""
    wire = {
        "match": {"macaddress": MAC.format(number)},
        "addresses": [f"{ADDRESS.format(number)}/24"],
        "dhcp4": False,
        "optional": True,
    }
    outside = {"match": {"macaddress": "52:54:00:12:34:56"}, "dhcp4": True}
    return {"version": 2, "ethernets": {"outside": outside, "wire": wire}}


def seeds(keys: Sequence[str], nodes: int, *, init: bool, folder: Path) -> list[Seed]:
    """A seed for each machine.

    init: a single machine makes a cluster as well. folder: of the disks, where the cluster's token is kept.
    """
    if nodes == 1:
        return [Seed(keys=tuple(keys), run=(INIT,) if init else ())]
    token, first = kept_token(folder), ADDRESS.format(1)
    found = []
    for number in range(1, nodes + 1):
        own = ADDRESS.format(number)
        words = (
            f"init --address {own} --token {token}"
            if number == 1
            else f"join {first}:{API} --address {own} --token {token}"
        )
        name = f"{live.ID}-{number}"
        found.append(Seed(name, tuple(keys), (f"/usr/lib/k8s-livecd/cluster {words}",), {}, network(number)))
    return found
