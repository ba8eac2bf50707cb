"""What the providers of a target are made of and no package has: fetched once, whoever of them wants it."""

from __future__ import annotations

from collections.abc import Iterator

from tasks import downloads, kernel, payload, userland
from tasks.lib.provider import choose
from tasks.lib.target import Target


def download_tasks(target: Target) -> Iterator[dict[str, object]]:
    """The downloads of kernel, userland and payload."""
    for noun, name, known in (
        ("kernel", target.kernel, kernel.PROVIDERS),
        ("userland", target.base, userland.PROVIDERS),
        ("payload", target.payload, payload.PROVIDERS),
    ):
        yield from downloads.tasks(choose(noun, name, known).inputs(target).downloads)
