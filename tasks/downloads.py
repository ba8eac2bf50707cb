"""Files of elsewhere that providers are made of: in the cache, and a record of each to depend on."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path

from tasks.lib.engine import Build, artifact
from tasks.lib.net import pinned as net
from tasks.lib.paths import BUILD
from tasks.lib.target import Pinned


def record(pinned: Pinned) -> Path:
    """The file that says that it is in the cache, as JSON: the file to depend on."""
    return BUILD / "sources" / f"{pinned.name}-{pinned.sha256[:12]}.download.json"


def path(pinned: Pinned, b: Build) -> Path:
    """Where the file itself lies; fetched again when somebody has emptied the cache."""
    return net.fetch(pinned.name, pinned.url, pinned.sha256, b.note)


def build_record(pinned: Pinned, b: Build) -> None:
    """Have it in the cache, and say so."""
    path(pinned, b)
    b.out.write_text(json.dumps(asdict(pinned), indent=1) + "\n", encoding="utf-8")


def tasks(wanted: Iterable[Pinned]) -> Iterator[dict[str, object]]:
    """Fetch what a provider is made of."""
    for pinned in wanted:
        yield artifact(
            f"sources-{pinned.name}-{pinned.sha256[:12]}",
            doc=f"{pinned.name} {pinned.version}, SHA-256 {pinned.sha256[:12]}…",
            build=partial(build_record, pinned),
            targets=[record(pinned)],
            group="sources",
        )
