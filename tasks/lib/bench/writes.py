"""What it costs that the database's writes are on the disk when they are confirmed."""

from __future__ import annotations

import os
import re
from pathlib import Path
from tempfile import TemporaryDirectory

from tasks.lib.bench.report import table
from tasks.lib.errors import BuildError
from tasks.lib.go.program import Program, flags
from tasks.lib.process import run

BENCHMARK = "BenchmarkConfirmedWrites"
PACKAGE = "./internal/commits"
# How they are written: all that wait at once or each by itself; SQLite's `synchronous`.
WAYS = {
    "together/FULL": "as it is: on the disk, what waits together is committed together",
    "alone/FULL": "on the disk, each by itself",
    "alone/NORMAL": "kine's default: lost at a power cut",
}
# What kine logs stands between a name and its figures.
ROW = re.compile(rf"^{BENCHMARK}/(\w+/\w+)/(\d+)(?:-\d+)?\s.*?([\d.]+) writes/s", re.MULTILINE | re.DOTALL)


def measure_writes(module: Path, program: Program, folder: Path) -> dict[str, dict[int, float]]:
    """Confirmed writes a second, by way (a key of WAYS) and number of writers.

    folder: on the disk that is to be measured. Raises BuildError when the benchmark can not be run.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder) as place:
        go, decided, env = flags(module, program, Path(place))
        argv = [str(go), "test", *decided, "-run", "-", "-bench", BENCHMARK, PACKAGE]
        text = run(argv, cwd=module, env={**env, "TMPDIR": os.fspath(place)}).stdout.decode()
    found: dict[str, dict[int, float]] = {}
    for way, writers, speed in ROW.findall(text):
        found.setdefault(way, {})[int(writers)] = float(speed)
    if found.keys() != WAYS.keys():
        raise BuildError(f"{BENCHMARK}: not understood:\n{text}")
    return found


def describe_writes(found: dict[str, dict[int, float]]) -> str:
    """A table, one row a way."""
    writers = sorted(found["together/FULL"])
    head = ["confirmed writes a second", *(f"{number} at once" for number in writers)]
    rows = [[WAYS[way], *(f"{found[way][number]:.0f}" for number in writers)] for way in WAYS]
    return table(head, rows)
