"""Locked versions that the archive has removed: replaced by the suite's current ones, loudly.

What was replaced is kept in build/drift/; it counts for this checkout and only as long as versions.lock
is the one it was made for.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from tasks.lib.config import held_config
from tasks.lib.debian import lockfile
from tasks.lib.debian.lockfile import Lock, Package, difference, load_lock, overlaid, parse, write_text
from tasks.lib.errors import BuildError
from tasks.lib.net import cache
from tasks.lib.paths import BUILD, OUTPUT

STATE = BUILD / "drift" / "packages.lock"
REPORT = OUTPUT / "drift" / "report.json"


class VanishedError(BuildError):
    """No mirror has this package any more."""

    def __init__(self, package: Package, cause: BuildError) -> None:
        super().__init__(cause.what, f"{cause.hint}; a newer version can be locked with ./doit lock")
        self.package = package


def applied(lock: Lock) -> Lock:
    """The lock with what was replaced."""
    try:
        status = STATE.stat()
    except OSError:
        return lock
    return read_state(STATE, cache.file_digest(lockfile.LOCK), status.st_mtime_ns, status.st_ino) or lock


@lru_cache(maxsize=4)
def read_state(state: Path, base: str, *_identity: int) -> Lock | None:
    """The lock that the state file holds; None when it was made for another versions.lock."""
    try:
        head, _, body = state.read_text(encoding="utf-8").partition("\n")
        return parse(body, state) if head == base else None
    except (BuildError, OSError, UnicodeDecodeError):
        return None  # damaged: found out anew


def replace(package: Package, note: Callable[[str], None]) -> None:
    """Put the suite's current version of a vanished package's source in force.

    Raises BuildError under drift = "forbid", and when the suite has nothing newer.
    """
    from tasks.lib.debian.resolve import resolve  # a build without drift needs none of it

    config = held_config()
    if config.debian.drift == "forbid":
        raise BuildError(
            f"{package.file} has gone from every mirror, and drift is forbidden",
            'run ./doit lock, name a mirror that has it in [debian] snapshots, or set drift = "allow"',
        )
    with cache.held("drift"):
        lock = load_lock()
        before = applied(lock)
        if before.packages.get(package.key) != package:
            return  # another process has replaced it meanwhile
        try:
            newest = resolve(config)
        except BuildError as error:
            raise BuildError(
                f"{package.file} has gone from every mirror, and what replaces it is not known: {error.what}",
                error.hint,
            ) from error
        after = overlaid(before, newest, package.source)
        if after.packages.get(package.key) == package:
            raise BuildError(
                f"{package.file} is in the signed index, but no mirror has it",
                "the mirror is incomplete: try again later, or name another one: KUBESOLO_MIRROR",
            )
        write_text(STATE, cache.file_digest(lockfile.LOCK) + "\n" + after.text())
        report = {"vanished": package.file, "source": package.source, "changes": difference(lock, after)}
        write_text(REPORT, json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    note(
        f"WARNING: {package.file} has gone from every mirror; taking its current {package.source}:\n  "
        + "\n  ".join(difference(before, after))
        + f"\nThis differs from versions.lock (see {REPORT}); ./doit lock makes it permanent."
    )
