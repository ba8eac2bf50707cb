"""Downloads: the Debian packages of each set, verified, in the cache."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path

from tasks.lib.arch import HOST, Arch
from tasks.lib.config import Config
from tasks.lib.debian import fetch
from tasks.lib.debian.lockfile import Lock, keyed
from tasks.lib.engine import Build, artifact
from tasks.lib.errors import BuildError
from tasks.lib.paths import BUILD
from tasks.lib.target import Target


def listing(set_name: str, arch: Arch = HOST) -> Path:
    """The file that says which packages of a set are in force, as JSON: the file to depend on."""
    return BUILD / "sources" / f"{keyed(set_name, arch.name)}.json"


def build_listing(set_name: str, b: Build) -> None:
    """Have every package of the set in the cache, and list them."""
    fetched = fetch.fetch_set(set_name, b.progress, b.note)
    records = [asdict(package) for package, _ in fetched]
    b.out.write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")


def check_agreement(config: Config, lock: Lock) -> None:
    """Raise BuildError when versions.toml asks for what versions.lock does not have."""
    complaint = ""
    if config.debian.suite != lock.suite:
        complaint = f"suite {config.debian.suite}, versions.lock has {lock.suite}"
    for name, wanted in config.packages.items():
        if missing := set(wanted.on(HOST.name)).difference(lock.sets.get(name, ())):
            complaint = f"{', '.join(sorted(missing))} in package set {name}, versions.lock has not"
    if complaint:
        raise BuildError(f"versions.toml wants {complaint}", "run ./doit lock")


def tasks(config: Config, lock: Lock, targets: Iterable[Target]) -> Iterator[dict[str, object]]:
    """Download the locked packages, as far as the targets are concerned."""
    wanted = {"", *(target.arch.name for target in targets)}
    check_agreement(config, lock)
    for name in lock.sets:
        if name.partition(":")[2] not in wanted:
            continue
        members = lock.members(name)
        size = sum(package.size for package in members) / 1e6
        yield artifact(
            f"sources-{name}",
            doc=f"Debian packages: {name} ({len(members)} files, {size:.0f} MB)",
            build=partial(build_listing, name),
            targets=[BUILD / "sources" / f"{name}.json"],
            values={"packages": {package.key: package.sha256 for package in members}},
            group="sources",
        )
