"""The index of a file's chunks: what of it is here already, and what has to be fetched.

Format: lines "<sha256> <size>", in the order of the file (docs/update-server.md). Boundaries follow the
content, so that what was moved in a file is found again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from agent.update.errors import Unverified
from agent.update.manifest import DIGEST
from agent.update.source import Pace

# 512 MB in chunks of 39 KiB, as zchunk cuts them.
LARGEST_INDEX = 1 << 20
LARGEST_CHUNK = 4 << 20


@dataclass(frozen=True)
class Chunk:
    """Bytes of a file: where they begin, how many, and their SHA-256."""

    offset: int
    size: int
    sha256: str


@dataclass(frozen=True)
class Place:
    """Where a chunk's bytes may be found."""

    path: Path
    offset: int


def parse(data: bytes, size: int) -> list[Chunk]:
    """The chunks of a file of `size` bytes; raises Unverified when they are not all of it."""
    chunks, offset = [], 0
    for number, line in enumerate(data.split(b"\n"), 1):
        if not line:
            continue
        digest, _, length = line.decode("ascii", "replace").partition(" ")
        if not DIGEST.fullmatch(digest) or not (length.isascii() and length.isdigit() and len(length) < 10):
            raise Unverified(f"line {number} of an index of chunks is damaged")
        if not 0 < int(length) <= LARGEST_CHUNK:
            raise Unverified(f"line {number} of an index of chunks: no chunk has {length} bytes")
        chunks.append(Chunk(offset, int(length), digest))
        offset += int(length)
    if offset != size:
        raise Unverified(f"an index of chunks is for {offset} bytes instead of {size}")
    return chunks


def places(path: Path, chunks: Iterable[Chunk]) -> Iterator[tuple[str, Place]]:
    """By digest, where the chunks of a file are that is here."""
    for chunk in chunks:
        yield chunk.sha256, Place(path, chunk.offset)


def read_at(place: Place, chunk: Chunk) -> bytes | None:
    """The chunk's bytes from there; None when something else is there."""
    try:
        with place.path.open("rb") as stream:
            stream.seek(place.offset)
            data = stream.read(chunk.size)
    except OSError:
        return None
    return data if hashlib.sha256(data).hexdigest() == chunk.sha256 else None


def ranges(wanted: list[Chunk], gap: int = 64 << 10, most: int = 8 << 20) -> list[tuple[Chunk, ...]]:
    """Chunks that one request brings: neighbours with fewer than `gap` bytes between them."""
    groups: list[list[Chunk]] = []
    for chunk in wanted:
        if groups:
            first, last = groups[-1][0], groups[-1][-1]
            near = chunk.offset - (last.offset + last.size) <= gap
            if near and chunk.offset + chunk.size - first.offset <= most:
                groups[-1].append(chunk)
                continue
        groups.append([chunk])
    return [tuple(group) for group in groups]


def receive(stream: BinaryIO, group: tuple[Chunk, ...], take: Callable[[Chunk, bytes], None]) -> int:
    """Chunks of one answer, each verified before it is taken; returns the bytes read; raises Unverified."""
    position, pace = group[0].offset, Pace()
    for chunk in group:
        read_exactly(stream, chunk.offset - position, pace)
        data = read_exactly(stream, chunk.size, pace)
        if hashlib.sha256(data).hexdigest() != chunk.sha256:
            raise Unverified(f"a chunk at {chunk.offset} has another SHA-256 than the index")
        take(chunk, data)
        position = chunk.offset + chunk.size
    return position - group[0].offset


def read_exactly(stream: BinaryIO, count: int, pace: Pace) -> bytes:
    """So many bytes; raises OSError when the stream ends before, Unreachable when it trickles."""
    data = bytearray()
    while len(data) < count:
        piece = pace.read(stream, count - len(data))
        if not piece:
            raise OSError("the connection was closed too early")
        data += piece
    return bytes(data)
