"""What a source offers to this node: the newest version, or the one that must come before it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from agent.update import gates, manifest, signature
from agent.update.errors import NothingToDo, Refused
from agent.update.gates import Node
from agent.update.manifest import Manifest
from agent.update.source import Source, read_small

LATEST = "latest"
LARGEST_SIGNATURE = 4096
MOST_STEPS = 8


@dataclass(frozen=True)
class Offer:
    """A manifest that has passed all gates; latest: the newest one, which it leads to."""

    manifest: Manifest
    latest: Manifest


def find(source: Source, keys: Mapping[str, str], node: Node) -> Offer:
    """The version to go to; raises Unreachable, Unverified, Refused, NothingToDo."""
    latest = step = read(source, keys, node, LATEST)
    for _ in range(MOST_STEPS):
        if not node.version < step.minimum:
            return Offer(step, latest)
        name = step.minimum.text
        step = read(source, keys, node, name)
        if step.version.text != name:
            raise Refused(f"{source.where} has version {step.version} in the place of {name}")
    raise Refused(f"more than {MOST_STEPS} versions lie between {node.version} and {latest.version}")


def read(source: Source, keys: Mapping[str, str], node: Node, name: str) -> Manifest:
    """One manifest: its form, whom it is for, its signature, its time."""
    data = read_small(source, f"{name}.json", manifest.LARGEST)
    found = manifest.parse(data)
    nothing = None
    for gate in gates.OFFER:
        try:
            gate(node, found)
        except NothingToDo as reason:
            # Only a manifest that is signed, and still holds, may say so.
            nothing = nothing or reason
    signature.signer(dict(keys), data, read_small(source, f"{name}.json.sig", LARGEST_SIGNATURE))
    gates.is_timely(node, found, newest=name == LATEST)
    if nothing:
        raise nothing
    return found
