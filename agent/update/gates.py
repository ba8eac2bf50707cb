"""What must be so before anything is written: each gate refuses with its reason."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from agent.update import window
from agent.update.conf import Conf
from agent.update.errors import NothingToDo, Refused
from agent.update.manifest import Manifest
from agent.update.state import State
from agent.update.version import Version

BOARD = "generic"
# A clock may be a little behind the one of whoever made the bundle.
CLOCK_SECONDS = 86400


@dataclass(frozen=True)
class Node:
    """What the gates know of the node; now: seconds since 1970."""

    version: Version
    architecture: str
    conf: Conf
    state: State
    force: bool
    now: int

    @property
    def floor(self) -> Version:
        """Below this it never goes."""
        return Version(self.state.floor) if self.state.floor else Version("0.0.0")


def in_window(node: Node) -> None:
    """Outside of the maintenance window only what is forced is done."""
    if not node.conf.window or node.force:
        return
    now = time.gmtime(node.now)
    minute = now.tm_hour * 60 + now.tm_min
    if wait := window.parse(node.conf.window).wait(minute):
        raise Refused(
            f"it is {now.tm_hour:02}:{now.tm_min:02} UTC, outside of the maintenance window "
            f"{node.conf.window}, which opens in {wait // 60} h {wait % 60} min (--force does it now)"
        )


def for_channel(node: Node, manifest: Manifest) -> None:
    """The manifest of another channel was put in the place of this one's."""
    if manifest.channel != node.conf.channel:
        raise Refused(f"it is of channel {manifest.channel}, this node follows {node.conf.channel}")


def for_machine(node: Node, manifest: Manifest) -> None:
    """Another processor or board."""
    if manifest.architecture != node.architecture:
        raise Refused(f"it is for {manifest.architecture}, this node is {node.architecture}")
    if manifest.board != BOARD:
        raise Refused(f"it is for board {manifest.board}, this node is {BOARD}")


def is_reachable(node: Node, manifest: Manifest) -> None:
    """Some versions are reached by way of others only."""
    if node.version < manifest.minimum:
        raise Refused(
            f"version {manifest.version} needs version {manifest.minimum} first, this node has {node.version}"
        )


def is_newer(node: Node, manifest: Manifest) -> None:
    """No downgrade without force, and none below the floor with it."""
    if manifest.version < node.floor:
        raise Refused(f"version {manifest.version} is below {node.floor}, the lowest that this node may have")
    if manifest.version == node.version and not node.force:
        raise NothingToDo(f"version {node.version} runs already")
    if manifest.version < node.version and not node.force:
        raise NothingToDo(f"version {manifest.version} is offered, {node.version} runs (--force goes back)")


def is_timely(node: Node, manifest: Manifest, *, newest: bool) -> None:
    """Neither expired nor, as the newest one, older than what this node has seen."""
    if manifest.expires <= node.now:
        expired = time.strftime("%Y-%m-%d", time.gmtime(manifest.expires))
        raise Refused(f"the manifest has expired on {expired}; the server needs a newer one")
    if manifest.released > node.now + CLOCK_SECONDS:
        raise Refused("the manifest is from the future; this node's clock is wrong, or the manifest is")
    seen = node.state.newest.get(manifest.channel, 0)
    if newest and manifest.released < seen and not node.force:
        raise Refused("an older manifest is offered than this node has seen before")


def is_not_refused(node: Node, manifest: Manifest) -> None:
    """What has failed is not tried again by itself."""
    reason = node.state.refused.get(manifest.version.text)
    if reason and not node.force:
        raise Refused(
            f"version {manifest.version} has failed on this node: {reason} (--force tries it again)"
        )


# Of a manifest alone, in the order in which they are asked.
OFFER: tuple[Callable[[Node, Manifest], None], ...] = (for_channel, for_machine, is_newer, is_not_refused)
