"""What is in the state of a disk: its ext4 file system, and the objects in kine's database."""

from __future__ import annotations

import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

from tasks.lib.debian import tools

# kine's files on the data partition.
DATABASE = "/kubesolo/db/state.db"
CONFIG_MAPS = "/registry/configmaps/default/"


def check(disk: Path) -> int:
    """Check all of the file system in the node's way: what needs no decision, else all decisions yes.

    The latter is for a superblock that was torn between its two sectors: there is a copy, and a second try
    when the journal had to be replayed from that. Returns e2fsck's status (e2fsck(8)): with 0 and 1 it can be
    mounted.
    """
    status, _ = run("e2fsck", "-f", "-p", str(disk))
    for copy in ("", "", "98304", "163840", "229376", "294912", ""):
        if status >= 4:
            options = ["-b", copy, "-B", "4096"] if copy else []
            status, _ = run("e2fsck", "-f", "-y", *options, str(disk))
    return status


def space(disk: Path) -> tuple[int, int, int]:
    """How many blocks the file system has, how many of them are free, and their size in bytes."""
    _, text = run("dumpe2fs", "-h", str(disk))
    found = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    return int(found["Block count"]), int(found["Free blocks"]), int(found["Block size"])


def read(disk: Path, name: str, folder: Path) -> bytes | None:
    """The content of a file of a checked disk; None when it does not exist."""
    target = folder / "content"
    target.unlink(missing_ok=True)
    run("debugfs", "-R", f"dump {name} {target}", str(disk))
    return target.read_bytes() if target.exists() else None


def config_maps(disk: Path, folder: Path) -> dict[str, list[int]]:
    """Names of ConfigMaps of the default namespace in the database, with kine's revisions of each.

    Raises sqlite3.DatabaseError when the database is damaged.
    """
    database = folder / "state.db"
    # The journal is that of the file's first page, before there is a write-ahead log.
    for suffix in ("", "-wal", "-journal"):
        Path(f"{database}{suffix}").unlink(missing_ok=True)
        run("debugfs", "-R", f"dump {DATABASE}{suffix} {database}{suffix}", str(disk))
    Path(f"{database}-shm").unlink(missing_ok=True)
    found: dict[str, list[int]] = {}
    with closing(sqlite3.connect(database)) as connection:
        (verdict,) = connection.execute("PRAGMA integrity_check").fetchone()
        if verdict != "ok":
            raise sqlite3.DatabaseError(verdict)
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'kine'").fetchone():
            return {}
        query = "SELECT id, name FROM kine WHERE name LIKE ? AND deleted = 0 ORDER BY id"
        for revision, name in connection.execute(query, (f"{CONFIG_MAPS}%",)):
            found.setdefault(name.removeprefix(CONFIG_MAPS), []).append(revision)
    return found


def run(*words: str) -> tuple[int, str]:
    """Run a program of the tools tree; its status and output."""
    command = [*tools.command(words[0]), *words[1:]]
    done = subprocess.run(
        command, env=tools.environment("tools"), capture_output=True, text=True, timeout=300, check=False
    )
    return done.returncode, done.stdout + done.stderr
