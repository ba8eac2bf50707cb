"""How large the ISO is, and what in it."""

from __future__ import annotations

from pathlib import Path

import pycdlib

from tasks.lib.bench.report import table
from tasks.lib.errors import BuildError

MB = 1_000_000
GOAL_MB = 95


def measure_sizes(iso: Path) -> dict[str, int]:
    """Bytes of the whole ISO (name "") and of every file on it, by path.

    Raises BuildError when it is no ISO.
    """
    if not iso.is_file():
        raise BuildError(f"{iso}: no such file", "run ./doit iso")
    reader = pycdlib.PyCdlib()
    try:
        reader.open(str(iso))
    except pycdlib.pycdlibexception.PyCdlibException as error:
        raise BuildError(f"{iso}: not an ISO: {error}", "run ./doit iso") from error
    found = {"": iso.stat().st_size}
    try:
        for folder, _, files in reader.walk(joliet_path="/"):
            for name in files:
                path = f"{folder.rstrip('/')}/{name}"
                found[path] = reader.get_record(joliet_path=path).get_data_length()
    finally:
        reader.close()
    return found


def describe_sizes(sizes: dict[str, int]) -> str:
    """A table, largest first."""
    parts = sorted(((size, path) for path, size in sizes.items() if path), reverse=True)
    rows: list[tuple[str, str]] = [(f"`{path}`", megabytes(size)) for size, path in parts if size >= MB / 100]
    small = [size for size, _ in parts if size < MB / 100]
    overhead = sizes[""] - sum(size for size, _ in parts)
    rows.append(
        (f"{len(small)} smaller files, file system, partition tables", megabytes(sum(small) + overhead))
    )
    rows.append((f"**the ISO** (goal: < {GOAL_MB})", f"**{megabytes(sizes[''])}**"))
    return table(("part", "MB"), rows)


def megabytes(size: int) -> str:
    """Bytes as MB (10^6) with two decimals."""
    return f"{size / MB:.2f}"
