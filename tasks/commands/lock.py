"""Resolve versions.toml to exact packages and write versions.lock."""

from __future__ import annotations

import sys
from typing import Any

from tasks.lib.config import load_config
from tasks.lib.debian import lockfile
from tasks.lib.debian.lockfile import Lock, difference, load_lock, write_text
from tasks.lib.debian.resolve import lagging, resolve
from tasks.lib.engine.command import Command, option
from tasks.lib.errors import BuildError

DESCRIPTION = """\
Asks Debian's signed suite, through apt in a private root, which packages versions.toml stands for
now, and writes their versions, paths and SHA-256 to versions.lock. Builds use nothing but the lock.
Against the same signed index it writes the same bytes.

The host's packages are neither used nor changed. The mirror is that of KUBESOLO_MIRROR, else of the
host's apt configuration; the keyring that of KUBESOLO_KEYRING, else of debian-archive-keyring."""


class Plugin(Command):
    """Write versions.lock."""

    doc_purpose = "resolve versions.toml with the signed suite and write versions.lock"
    doc_description = DESCRIPTION
    cmd_options = (
        option("check", False, "write nothing; exit status 1 when the lock is not what the suite has now"),
    )

    def execute(self, opt_values: Any, pos_args: list[str]) -> int:
        """Resolve, say what changed, write."""
        old, new = previous(), resolve(load_config())
        for index in new.indexes:
            print(f"{index.suite}: signed index of {index.date}")
        for line in lagging(old, new):
            print(line, file=sys.stderr)
        changes = difference(old, new)
        for line in changes:
            print(f"  {line}")
        if old is not None and old.text() == new.text():
            print("versions.lock: nothing changed")
            return 0
        if opt_values["check"]:
            print("versions.lock: packages differ" if changes else "versions.lock: only the indexes differ")
            return 1 if changes else 0
        write_text(lockfile.LOCK, new.text())
        print(f"versions.lock: {len(new.packages)} packages written")
        return 0


def previous() -> Lock | None:
    """The lock as it is; None when it is missing, or damaged, which is said."""
    try:
        return load_lock()
    except BuildError as error:
        if lockfile.LOCK.exists():
            print(error.what, file=sys.stderr)
        return None
