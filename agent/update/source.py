"""Where bundles come from: an HTTP(S) server, a folder, a stick; bytes of files, from an offset on."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

from agent.update.conf import Conf
from agent.update.errors import Unreachable, UsageError

STICK = "KSOLOUPDATE"
STICK_FOLDERS = ("update", "")
PIECE = 256 << 10
# A source that gives less than this for so long is given up, and asked again.
SLOWEST_BYTES_SECOND = 1024
SLOW_SECONDS = 60.0


class Missing(Unreachable):
    """The source answers, but does not have the file."""


class Source(Protocol):
    """A folder of bundles, wherever it is; where: in words."""

    where: str

    def open(self, path: str, offset: int = 0, length: int = 0) -> BinaryIO:
        """A file's bytes from an offset on, to the end or `length` of them; raises Unreachable."""


class Folder:
    """A directory."""

    def __init__(self, folder: Path, channel: str, architecture: str) -> None:
        self.where = str(folder)
        self.folder = folder / channel / architecture
        if not folder.is_dir():
            raise Unreachable(f"{folder} is no directory")

    def open(self, path: str, offset: int = 0, length: int = 0) -> BinaryIO:
        """From the file itself; a link must not lead out of the directory."""
        place = self.folder / path
        try:
            if not place.resolve().is_relative_to(self.folder.resolve()):
                raise Missing(f"{place} leads out of the directory")
            stream = place.open("rb")
            stream.seek(offset)
        except OSError as error:
            raise Missing(f"{place} cannot be read: {error.strerror}") from error
        return stream


@contextmanager
def opened(root: Path, conf: Conf, architecture: str) -> Iterator[Source]:
    """The source that the settings name; UsageError when they name none."""
    if conf.server:
        from agent.update.server import Server

        yield Server(conf, architecture)
    elif conf.folder:
        yield Folder(Path(conf.folder), conf.channel, architecture)
    elif conf.usb:
        with mounted_stick(root) as folder:
            yield Folder(folder, conf.channel, architecture)
    else:
        raise UsageError(
            "no source of updates is set; server, usb and directory are known to /etc/kubesolo/update.conf"
        )


@contextmanager
def mounted_stick(root: Path) -> Iterator[Path]:
    """The stick, mounted read-only; raises Unreachable when there is none."""
    found = subprocess.run(
        ["findfs", f"LABEL={STICK}"], stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    device = found.stdout.decode().strip()
    if not device:
        raise Unreachable(f"no stick with the label {STICK} is there")
    point = root / "run/kubesolo/update/stick"
    os.makedirs(point, exist_ok=True)
    done = subprocess.run(
        ["mount", "-o", "ro,nosuid,nodev,noexec", device, str(point)], stdin=subprocess.DEVNULL, check=False
    )
    if done.returncode:
        raise Unreachable(f"{device} (label {STICK}) cannot be mounted")
    try:
        yield next(point / name for name in STICK_FOLDERS if (point / name).is_dir())
    finally:
        subprocess.run(["umount", str(point)], stdin=subprocess.DEVNULL, check=False)


class Pace:
    """Reads a stream as it comes, and gives up one that trickles, also below the size of a piece."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.received = 0

    def read(self, stream: BinaryIO, most: int) -> bytes:
        """What is there, at most so many bytes; nothing at the end. Raises Unreachable."""
        # Not read(), which waits for all of them.
        data: bytes = stream.read1(most)  # type: ignore[attr-defined]
        self.received += len(data)
        spent = time.monotonic() - self.began
        if spent > SLOW_SECONDS and self.received < spent * SLOWEST_BYTES_SECOND:
            raise Unreachable(f"the source gives less than {SLOWEST_BYTES_SECOND} bytes a second")
        return data


def read_small(source: Source, path: str, most: int) -> bytes:
    """All of a small file; raises Unreachable, also when it is larger than `most` bytes."""
    try:
        with source.open(path) as stream:
            data, pace = bytearray(), Pace()
            while len(data) <= most and (piece := pace.read(stream, most + 1 - len(data))):
                data += piece
    except OSError as error:
        raise Unreachable(f"{path} cannot be read from {source.where}: {error}") from error
    if len(data) > most:
        raise Unreachable(f"{path} on {source.where} is larger than {most} bytes")
    return bytes(data)
