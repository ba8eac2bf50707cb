"""Where a file is cut so that what two versions have in common is fetched once: the index of its chunks.

Boundaries follow the content (zchunk's rolling sum, 39 KiB apart on average, 128 KiB at most), so that what
is inserted or removed moves no other boundary. The index is text: one line "SHA-256 SIZE" for each chunk, in
the order of the file; sizes in bytes.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

from tasks.lib.debian import tools
from tasks.lib.errors import BuildError
from tasks.lib.process import run

SET = "zchunk"
# zck_read_header -c: number, checksum, start, size in its file, size.
ROW = re.compile(r" *\d+ [0-9a-f]+ +\d+ +\d+ +(\d+)")


def cut(path: Path, scratch: Path) -> Iterator[int]:
    """The sizes of the chunks of a file; raises BuildError when they do not make up the file."""
    packed = scratch / f"{path.name}.zck"
    run([*tools.command("zck", set=SET), "--compression-format=none", "-o", packed, path])
    shown = run([*tools.command("zck_read_header", set=SET), "-c", packed]).stdout.decode()
    packed.unlink()
    sizes = [int(row[1]) for row in map(ROW.fullmatch, shown.splitlines()) if row]
    if sum(sizes) != path.stat().st_size:
        raise BuildError(
            f"{path}: zck's chunks have {sum(sizes)} bytes", "has the form of its listing changed?"
        )
    return (size for size in sizes if size)


def index(path: Path, scratch: Path) -> str:
    """The text of the index of a file's chunks."""
    rows = []
    with path.open("rb") as stream:
        for size in cut(path, scratch):
            rows.append(f"{hashlib.sha256(stream.read(size)).hexdigest()} {size}\n")
    return "".join(rows)
