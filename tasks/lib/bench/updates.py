"""How much of a new version a node fetches: our chunks beside what others of the field do."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from tasks import rootfs
from tasks.lib.bench.report import table
from tasks.lib.bench.sizes import MB, megabytes
from tasks.lib.debian import tools
from tasks.lib.engine import Build
from tasks.lib.formats.tree import Tree
from tasks.lib.paths import TOP
from tasks.lib.process import run
from tasks.lib.release import chunks
from tasks.lib.release.manifest import digest

Images = Mapping[str, Path]
DOCUMENT = TOP / "docs" / "update-flow.md"
# RAUC's block-hash-index: SHA-256 of each 4 KiB (rauc.readthedocs.io, "Adaptive Updates").
BLOCK, HASH = 4096, 32
# What an update of one package changes in the root: all that nftables brings.
PACKAGE = "nft"


@dataclass(frozen=True)
class Cost:
    """Bytes fetched of files, bytes of indexes, and seconds in which these were made and compared."""

    fetched: int
    index: int
    seconds: float = 0.0


def sums(index: str) -> list[tuple[str, int]]:
    """Digest and size of each chunk of an index."""
    rows = (line.split() for line in index.splitlines())
    return [(sha256, int(size)) for sha256, size in rows]


def measure_ours(old: Images, new: Images, scratch: Path) -> Cost:
    """Whole files that are there are not fetched; of others, the index and the chunks no old file has."""
    fresh = {name: path for name, path in new.items() if digest(path) != digest(old[name])}
    indexes = {name: (chunks.index(old[name], scratch), chunks.index(new[name], scratch)) for name in fresh}
    known = {sha256 for before, _ in indexes.values() for sha256, _ in sums(before)}
    wanted = {sha256: size for _, after in indexes.values() for sha256, size in sums(after)}
    fetched = sum(size for sha256, size in wanted.items() if sha256 not in known)
    # The node reads the index of its own version, too.
    return Cost(fetched, sum(len(text) for pair in indexes.values() for text in pair))


def measure_zchunk(old: Images, new: Images, scratch: Path) -> Cost:
    """Each file as .zck; its header is the index."""
    fetched = headers = 0
    for name in new:
        packed = [scratch / f"{number}.zck" for number in range(2)]
        for path, out in zip((old[name], new[name]), packed, strict=True):
            run([*tools.command("zck", set=chunks.SET), "-o", out, path])
        known = {row[0] for row in zck_rows(packed[0])}
        fetched += sum(size for sha, size in zck_rows(packed[1]) if sha not in known)
        headers += packed[1].stat().st_size - sum(size for _, size in zck_rows(packed[1]))
    return Cost(fetched, headers)


def zck_rows(path: Path) -> list[tuple[str, int]]:
    """Digest and packed size of each chunk (zck_read_header -c: number, digest, start, packed size, size)."""
    shown = run([*tools.command("zck_read_header", set=chunks.SET), "-c", path]).stdout.decode()
    rows = (line.split() for line in shown.splitlines())
    return [(row[1], int(row[3])) for row in rows if len(row) == 5 and row[0].isdigit()]


def measure_casync(old: Images, new: Images, scratch: Path) -> Cost:
    """A .caibx and a store of compressed chunks, with casync's own settings (64 KiB on average)."""
    index = 0
    stores = {"old": old, "new": new}
    for label, images in stores.items():
        for path in images.values():
            out = scratch / "image.caibx"
            store = f"--store={scratch / label}.castr"
            run([*tools.command("casync", set="casync"), "make", store, out, path])
            index += out.stat().st_size if label == "new" else 0
    held = {label: {path.name: path for path in (scratch / f"{label}.castr").glob("*/*")} for label in stores}
    fresh = held["new"].keys() - held["old"].keys()
    return Cost(sum(held["new"][name].stat().st_size for name in fresh), index)


def measure_rauc(old: Images, new: Images, scratch: Path) -> Cost:
    """Blocks of a fixed size that are nowhere in the old images; the index has all blocks."""
    known = {block for path in old.values() for block in blocks(path)}
    found = [block for path in new.values() for block in blocks(path)]
    return Cost(len(set(found) - known) * BLOCK, len(found) * HASH)


def blocks(path: Path) -> list[bytes]:
    """The digests of the blocks of a file."""
    found = []
    with path.open("rb") as stream:
        while block := stream.read(BLOCK):
            found.append(hashlib.sha256(block.ljust(BLOCK, b"\0")).digest())
    return found


WAYS: dict[str, Callable[[Images, Images, Path], Cost]] = {
    "whole files and chunks, as it is": measure_ours,
    "zchunk": measure_zchunk,
    "casync": measure_casync,
    "RAUC, adaptive (block-hash-index)": measure_rauc,
}


def measure(old: Images, new: Images, scratch: Path) -> dict[str, Cost]:
    """What each way costs. scratch: a folder for what they write."""
    found = {}
    for number, (way, measured) in enumerate(WAYS.items()):
        place = scratch / str(number)
        place.mkdir(parents=True)
        before = time.monotonic()
        cost = measured(old, new, place)
        found[way] = replace(cost, seconds=time.monotonic() - before)
    return found


def other_package(source: Tree, name: str) -> Tree:
    """The same with other bytes in the programs and libraries that have a name in theirs, 700 bytes longer:
    nothing of them can be used again."""
    tree = Tree()
    tree.add_tree(source)
    for path, entry in source.items():
        if entry.kind == "file" and name in path.rpartition("/")[2] and not path.endswith(".ko"):
            tree.add_file(path, entry.read()[::-1] + b"." * 700, entry.mode)
    return tree


def other_root(programs: Path, modules: Path, bcj: str, epoch: int, scratch: Path) -> Path:
    """The root's image with another version of a package. programs, modules: the tars it is made of."""
    build = Build([scratch / "root.squashfs"], scratch, values={"epoch": epoch})
    content = other_package(rootfs.root_content(programs, modules), PACKAGE)
    rootfs.write_layer("root", content, bcj, build)
    return build.out


def describe(found: Mapping[str, Mapping[str, Cost]], total: int) -> str:
    """A table: one row a way, two columns for each kind of update. total: bytes of the whole image."""
    head = ["fetched of an image of " + f"{total / MB:.1f} MB"]
    for kind in found:
        head += [f"{kind}: MB", "%", "index, kB", "s"]
    rows = []
    for way in WAYS:
        row = [way]
        for costs in found.values():
            cost = costs[way]
            share = 100 * (cost.fetched + cost.index) / total
            row += [
                megabytes(cost.fetched),
                f"{share:.1f}",
                f"{cost.index / 1000:.0f}",
                f"{cost.seconds:.1f}",
            ]
        rows.append(row)
    return table(head, rows)
