"""The task database: doit's sqlite3 backend with a commit for every task and a table of file digests."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from doit.dependency import JSONCodec, SqliteDB

from tasks.lib.errors import BuildError

SCHEMA = 2
TABLES = (
    "create table if not exists doit (task_id text not null primary key, task_data json)",
    "create table if not exists files (path text not null primary key, mark text, sha256 text)",
    "create table if not exists recipes (key text not null primary key, value json)",
    "create table if not exists facts (key text not null primary key, value text)",
)


def boot_id() -> str:
    """Changes at every boot of the host: after a power cut a file may keep its inode, size and times and
    still have lost its bytes, so that fingerprints are only believed within one boot."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return "unknown"


class Database(SqliteDB):
    """Records of finished tasks (JSON, one row a task), digests of files, digests of recipes.

    Raises BuildError when the folder can not be written.
    """

    def __init__(self, name: str, codec: Any = None, *, module_name: str | None = None) -> None:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        super().__init__(name, codec or JSONCodec(), module_name=module_name)

    def _sqlite3(self, name: str) -> sqlite3.Connection:
        """Open the database; one that is damaged or of another schema is put aside, everything is rebuilt."""
        try:
            return self._open(name)
        except sqlite3.OperationalError as error:
            raise BuildError(f"{name}: {error}", "is the folder writable and the disk not full?") from error
        except sqlite3.DatabaseError as error:
            aside = Path(f"{name}.damaged")
            Path(name).replace(aside)
            sys.stderr.write(f"doit: {name}: {error}: put aside as {aside.name}, everything is rebuilt\n")
            return self._open(name)

    def _open(self, name: str) -> sqlite3.Connection:
        sqlite3.register_adapter(list, self.codec.encode)
        sqlite3.register_adapter(dict, self.codec.encode)
        sqlite3.register_converter("json", lambda data: self.codec.decode(data.decode()))
        conn = sqlite3.connect(name, timeout=30, detect_types=sqlite3.PARSE_DECLTYPES)
        conn.row_factory = _as_dict
        version = conn.execute("pragma user_version").fetchone()["user_version"]
        if version not in (0, SCHEMA):
            conn.close()
            raise sqlite3.DatabaseError("made by another version of the builder")
        if version == 0:
            for table in TABLES:
                conn.execute(table)
            conn.execute(f"pragma user_version = {SCHEMA}")
            conn.commit()
        if (found := conn.execute("pragma quick_check(1)").fetchone()) != {"quick_check": "ok"}:
            conn.close()
            raise sqlite3.DatabaseError(f"is damaged: {found}")
        return conn

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            foreign = not os.access(self.name, os.W_OK)
            hint = "an earlier run was made by another user" if foreign else "is the disk full?"
            raise BuildError(f"{self.name}: {error}", hint) from error

    def commit(self) -> None:
        """Write what is pending to the disk."""
        with self._writing():
            for task_id in self._dirty:
                record = self.codec.encode(self._cache[task_id])
                self._conn.execute("insert or replace into doit values (?,?)", (task_id, record))
            self._conn.commit()
        self._dirty = set()

    def dump(self) -> None:
        """Commit and close."""
        try:
            self.commit()
        finally:
            self._conn.close()

    def remove(self, task_id: str) -> None:
        """Forget a task; effective at the next commit."""
        with self._writing():
            super().remove(task_id)

    def files(self) -> dict[str, tuple[str, str]]:
        """The digests of files by path: (fingerprint, SHA-256); none when the host has booted since."""
        if self.value("facts", "boot") != boot_id():
            return {}
        rows = self._conn.execute("select path, mark, sha256 from files")
        return {row["path"]: (row["mark"], row["sha256"]) for row in rows}

    def save_files(self, known: dict[str, tuple[str, str]], fresh: dict[str, tuple[str, str]]) -> None:
        """Add digests; `known` is what files() gave, empty when the table must be started afresh."""
        if not fresh:
            return
        with contextlib.suppress(sqlite3.OperationalError):  # only a memory: losing it costs time, not truth
            if not known:
                self._conn.execute("delete from files")
                self.keep("facts", "boot", boot_id())
            rows = [(path, mark, sha256) for path, (mark, sha256) in fresh.items()]
            self._conn.executemany("insert or replace into files values (?,?,?)", rows)

    def value(self, table: str, key: str) -> Any:
        """What was kept under `key` in the table of facts (texts) or of recipes (JSON), or None."""
        row = self._conn.execute(f"select value from {table} where key = ?", (key,)).fetchone()
        return row["value"] if row else None

    def keep(self, table: str, key: str, value: Any) -> None:
        """Keep a value; effective at the next commit. Raises BuildError."""
        with self._writing():
            self._conn.execute(f"insert or replace into {table} values (?,?)", (key, value))

    def remember(self, key: str, value: dict[str, Any]) -> None:
        """Keep something about recipes that can be computed again: losing it costs time, not truth."""
        with contextlib.suppress(BuildError):
            self.keep("recipes", key, value)


def _as_dict(cursor: sqlite3.Cursor, row: tuple[Any, ...]) -> dict[str, Any]:
    return {column[0]: value for column, value in zip(cursor.description, row, strict=True)}
