"""Lets a node begin anew: `kubesolo-os reset [--all] [--yes]`. Stage 20 of the next boot does it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from agent.durable import replace_file

USAGE = "usage: kubesolo-os reset [--all] [--yes]\n"
WRONG_USAGE = 2
MARK = "mnt/data/.reset"
WARNINGS = {
    "cluster": "At the next boot this node loses its cluster: all objects, pods, images and volumes.\n"
    "Its configuration file, network settings and SSH host keys stay.\n",
    "all": "At the next boot this node loses EVERYTHING on its data partition, its configuration too.\n",
}


def main(arguments: Sequence[str], root: Path = Path("/"), ask: Callable[[str], str] = input) -> int:
    """Ask twice, then leave the mark; returns the exit status."""
    words = set(arguments)
    if not words <= {"--all", "--yes"} or len(words) != len(arguments):
        sys.stderr.write(USAGE)
        return WRONG_USAGE
    what = "all" if "--all" in words else "cluster"
    sys.stdout.write(WARNINGS[what])
    name = host_name(root)
    if "--yes" not in words and not confirmed(name, ask):
        print("Nothing was changed.")
        return 1
    try:
        write_mark(root / MARK, what)
    except OSError as error:
        sys.stderr.write(f"kubesolo-os: {root / MARK} cannot be written: {error.strerror}\n")
        return 1
    print("Done at the next boot; `reboot` starts it. To take it back: rm /mnt/data/.reset")
    return 0


def host_name(root: Path) -> str:
    """The node's name, which is asked for."""
    try:
        return (root / "run/kubesolo/etc/hostname").read_text().strip()
    except OSError:
        return "reset"


def confirmed(name: str, ask: Callable[[str], str]) -> bool:
    """Whether a person wants it, having been asked twice."""
    try:
        return (
            ask("Type yes to go on: ") == "yes" and ask(f"Type the node's name ({name}) to confirm: ") == name
        )
    except EOFError:
        return False


def write_mark(path: Path, what: str) -> None:
    """On the disk when this returns."""
    replace_file(str(path), f"{what}\n".encode(), 0o644)
