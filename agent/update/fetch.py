"""One file of a bundle, to its place in the slot: from the running slot, from chunks, or as a whole.

What is there already of an earlier try is used. Nothing counts before its SHA-256, read back from the disk,
is that of the manifest.
"""

from __future__ import annotations

import errno
import hashlib
import os
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

from agent.update import chunks
from agent.update.chunks import Chunk, Place
from agent.update.errors import NoRoom, Unreachable, Unverified, UpdateError
from agent.update.manifest import File, Part
from agent.update.source import PIECE, Missing, Pace, Source, read_small

TRIES = 6
FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 60.0
FLUSH_BYTES = 8 << 20
Progress = Callable[[int, bool], None]


@dataclass
class Fetcher:
    """What all files of a bundle have in common.

    here: files of the slots, by name. find_chunks: gives the chunks that are here, by digest; asked once, and
    only when a file is made of chunks.
    progress: is told how many bytes are new, and whether they came from the source. sleep: for tests.
    """

    source: Source
    here: Mapping[str, list[Path]]
    find_chunks: Callable[[], Mapping[str, Place]]
    progress: Progress
    sleep: Callable[[float], None] = time.sleep

    @cached_property
    def known(self) -> Mapping[str, Place]:
        """The chunks that are here."""
        return self.find_chunks()

    def obtain(self, name: str, file: File, out: Path) -> None:
        """Make `out` the file; raises Unreachable, Unverified, NoRoom."""
        try:
            if whole(out, file):
                self.progress(file.size, False)
                return
            if self.copied(name, file, out):
                return
            if file.chunks is None or not self.assembled(file, file.chunks, out):
                self.downloaded(file, out)
        except OSError as error:
            kind = NoRoom if error.errno in (errno.ENOSPC, errno.EDQUOT) else UpdateError
            raise kind(f"{out} cannot be written: {error.strerror or error}") from error

    def copied(self, name: str, file: File, out: Path) -> bool:
        """From a slot that has the same file."""
        for path in self.here.get(name, []):
            if path != out and size_of(path) == file.size:
                with Writer(out, 0) as writer:
                    for piece in pieces(path):
                        writer.write(piece)
                        self.progress(len(piece), False)
                if whole(out, file):
                    return True
                self.progress(-size_of(out), False)
        return False

    def assembled(self, file: File, index: Part, out: Path) -> bool:
        """From chunks, those that are not here by ranges; False when the source has no index or no ranges."""
        try:
            data = read_small(self.source, index.path, min(index.size, chunks.LARGEST_INDEX))
            if hashlib.sha256(data).hexdigest() != index.sha256:
                return False
            wanted = chunks.parse(data, file.size)
            self.assemble(file, wanted, out)
        except (Missing, Unverified):
            return False
        return whole(out, file)

    def assemble(self, file: File, wanted: list[Chunk], out: Path) -> None:
        """Write all chunks to their places."""
        # Behind what an earlier try has left there is nothing to look at.
        end = size_of(out)
        with Writer(out, None, file.size) as writer:
            missing = [chunk for chunk in wanted if not self.placed(chunk, out, end, writer)]
            for group in chunks.ranges(missing):
                self.again(lambda group=group: self.fetch_group(file, group, writer))  # type: ignore[misc]

    def placed(self, chunk: Chunk, out: Path, end: int, writer: Writer) -> bool:
        """Whether a chunk is there already, or could be put there from what is here."""
        if chunk.offset >= end or chunks.read_at(Place(out, chunk.offset), chunk) is None:
            place = self.known.get(chunk.sha256)
            data = chunks.read_at(place, chunk) if place else None
            if data is None:
                return False
            writer.write_at(chunk.offset, data)
        self.progress(chunk.size, False)
        return True

    def fetch_group(self, file: File, group: tuple[Chunk, ...], writer: Writer) -> None:
        """What one request brings; what has come already is not asked for again after a failure."""
        missing = tuple(chunk for chunk in group if chunk.offset not in writer.written)
        if not missing:
            return
        last = missing[-1]

        def take(chunk: Chunk, data: bytes) -> None:
            writer.write_at(chunk.offset, data)
            self.progress(chunk.size, True)

        first = missing[0].offset
        with self.source.open(file.path, first, last.offset + last.size - first) as stream:
            chunks.receive(stream, missing, take)

    def downloaded(self, file: File, out: Path) -> None:
        """As a whole, going on where an earlier try has ended; from the beginning if that is bad."""
        start = min(size_of(out), file.size)
        self.progress(start, False)
        self.again(lambda: self.download(file, out))
        if whole(out, file):
            return
        self.progress(-file.size, False)
        out.unlink(missing_ok=True)
        if start:
            self.again(lambda: self.download(file, out))
            if whole(out, file):
                return
            out.unlink(missing_ok=True)
        raise Unverified(f"{file.path} from {self.source.where} has another SHA-256 than the manifest")

    def download(self, file: File, out: Path) -> None:
        """What is missing at the end."""
        start = size_of(out)
        if start >= file.size:
            return
        try:
            stream = self.source.open(file.path, start)
        except Missing:
            if not start:
                raise
            self.progress(-start, False)
            start = 0
            stream = self.source.open(file.path)
        with stream, Writer(out, start) as writer:
            self.pour(stream, writer, file.size - start, file.path)

    def pour(self, stream: BinaryIO, writer: Writer, count: int, path: str) -> None:
        """So many bytes; raises Unreachable when they do not come, or too slowly."""
        pace, received = Pace(), 0
        while received < count:
            piece = pace.read(stream, min(PIECE, count - received))
            if not piece:
                raise Unreachable(f"{path}: the connection was closed after {received} of {count} bytes")
            writer.write(piece)
            received += len(piece)
            self.progress(len(piece), True)

    def again(self, work: Callable[[], None]) -> None:
        """Try it several times, with growing pauses of random length; what is missing is not waited for."""
        pause = FIRST_PAUSE_SECONDS
        for left in reversed(range(TRIES)):
            try:
                work()
            except Missing:
                raise
            except UpdateError as error:
                if not left or isinstance(error, Unverified):
                    raise
            except OSError as error:
                if error.errno is not None and not isinstance(error, (ConnectionError, TimeoutError)):
                    raise  # of the disk
                if not left:
                    raise Unreachable(f"{self.source.where}: {error}") from error
            else:
                return
            self.sleep(pause * random.uniform(0.5, 1.5))
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)


class Writer:
    """Writes a file so that what was written some megabytes ago is on the disk."""

    def __init__(self, path: Path, start: int | None, size: int = 0) -> None:
        """start: cut the file off there and go on; None: keep it and make it `size` bytes long."""
        self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self.position = start or 0
        self.unflushed = 0
        self.written: set[int] = set()
        os.ftruncate(self.descriptor, size if start is None else start)

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            os.fdatasync(self.descriptor)
        finally:
            os.close(self.descriptor)

    def write(self, data: bytes) -> None:
        """At the end of what was written."""
        self.put(self.position, data)
        self.position += len(data)

    def write_at(self, offset: int, data: bytes) -> None:
        """Anywhere."""
        self.put(offset, data)
        self.written.add(offset)

    def put(self, offset: int, data: bytes) -> None:
        """All of it, however often the kernel takes less."""
        view, done = memoryview(data), 0
        while done < len(view):
            done += os.pwrite(self.descriptor, view[done:], offset + done)
        self.unflushed += len(view)
        if self.unflushed >= FLUSH_BYTES:
            os.fdatasync(self.descriptor)
            self.unflushed = 0


def pieces(path: Path) -> Iterator[bytes]:
    """The bytes of a file, up to where it can not be read: what is missing is fetched."""
    with suppress(OSError), path.open("rb") as stream:
        while piece := stream.read(PIECE):
            yield piece


def size_of(path: Path) -> int:
    """In bytes; 0 when it is not there."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def whole(path: Path, part: Part) -> bool:
    """Whether the file on the disk, not what memory remembers of it, is what it must be."""
    return size_of(path) == part.size and digest(path) == part.sha256


def digest(path: Path) -> str:
    """SHA-256 of a file as the disk has it, in hexadecimal; "" when it can not be read."""
    found = hashlib.sha256()
    try:
        with path.open("rb", buffering=0) as stream:
            os.fdatasync(stream.fileno())
            os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            while piece := stream.read(1 << 20):
                found.update(piece)
    except OSError:
        return ""
    return found.hexdigest()
