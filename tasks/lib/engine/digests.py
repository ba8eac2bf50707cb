"""Digests of files and folders, remembered by fingerprint so that unchanged files are not read again."""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from tasks.lib.errors import BuildError

# A file whose inode changed less than this before it was read could change again without a new ctime:
# the kernel's coarse clock ticks every 1 to 10 ms. Some file systems keep whole seconds only.
TICK_NS = 20_000_000
COARSE_TICK_NS = 2_000_000_000
IGNORED_NAMES = frozenset({"__pycache__"})


def fingerprint(info: os.stat_result) -> str:
    """What changes whenever a file's content or metadata changes: ctime, inode, size and mode."""
    return f"{info.st_ctime_ns}:{info.st_ino}:{info.st_size}:{info.st_mode:o}"


def settled(info: os.stat_result, now_ns: int) -> bool:
    """Whether any later change of the file is sure to get another ctime than `info` has."""
    tick = TICK_NS if info.st_ctime_ns % 1_000_000_000 else COARSE_TICK_NS
    return now_ns - info.st_ctime_ns > tick


def content_digest(path: str) -> str:
    """SHA-256 of a file's bytes, hex.

    Raises BuildError when the file can not be read.
    """
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise BuildError(f"{path} can not be read: {error.strerror}") from error


@dataclass
class Digests:
    """Digest of any path: "<mode>:<sha256>" of a file, "link:..." of a symlink, "tree:<sha256>" of a folder.

    known: path -> (fingerprint, SHA-256) from earlier runs; fresh: learned by this run and its workers.
    """

    known: dict[str, tuple[str, str]] = field(default_factory=dict)
    fresh: dict[str, tuple[str, str]] = field(default_factory=dict)

    def of(self, path: str) -> str | None:
        """The digest of `path`, None when nothing is there.

        Raises BuildError when it can not be read.
        """
        try:
            info = os.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise BuildError(f"{path} can not be read: {error.strerror}") from error
        if stat.S_ISLNK(info.st_mode):
            place = os.path.realpath(path)
            if os.path.islink(place):
                raise BuildError(f"{path} can not be read: a circle of links")
            pointed = self.of(place)
            return None if pointed is None else f"link:{os.readlink(path)}:{pointed}"
        if stat.S_ISDIR(info.st_mode):
            return tree_digest(info, self.members(path))
        return self._entry(path, info)

    def members(self, top: str) -> dict[str, str]:
        """Every entry below the folder `top`, empty folders too: relative path -> digest."""
        return dict(self._walk(top, ""))

    def _walk(self, top: str, below: str) -> Iterator[tuple[str, str]]:
        """Depth first, in name order; symlinks are not followed."""
        folder = os.path.join(top, below) if below else top
        try:
            with os.scandir(folder) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError as error:
            raise BuildError(f"{folder} can not be read: {error.strerror}") from error
        for entry in entries:
            if entry.name in IGNORED_NAMES:
                continue
            name = f"{below}/{entry.name}" if below else entry.name
            info = entry.stat(follow_symlinks=False)
            if stat.S_ISLNK(info.st_mode):
                yield name, f"link:{os.readlink(entry.path)}"
            elif stat.S_ISDIR(info.st_mode):
                yield name, f"dir:{stat.S_IMODE(info.st_mode):o}"
                yield from self._walk(top, name)
            else:
                yield name, self._entry(entry.path, info)

    def _entry(self, path: str, info: os.stat_result) -> str:
        """Digest of something that is neither folder nor symlink."""
        mode = f"{stat.S_IMODE(info.st_mode):o}"
        if not stat.S_ISREG(info.st_mode):
            return f"special:{info.st_mode:o}:{info.st_rdev}"
        mark = fingerprint(info)
        held = self.fresh.get(path) or self.known.get(path)
        if held is None or held[0] != mark:
            now = time.time_ns()
            held = (mark, content_digest(path))
            if settled(info, now):
                self.fresh[path] = held
        return f"{mode}:{held[1]}"


def tree_digest(info: os.stat_result, members: dict[str, str]) -> str:
    """The digest of a folder from those of its members."""
    lines = [f"{stat.S_IMODE(info.st_mode):o}", *(f"{name}\0{digest}" for name, digest in members.items())]
    return f"tree:{hashlib.sha256(chr(10).join(lines).encode(errors='surrogateescape')).hexdigest()}"


def digest_text(digest: str | None) -> str:
    """A record's value in short: mode and the start of the SHA-256 of a file, JSON as it is."""
    if digest is None:
        return "nothing"
    kind, _, rest = digest.partition(":")
    if kind == "link":
        pointed = rest.partition(":")[0]
        return f"link to {pointed}"
    if kind == "dir":
        return f"folder, mode {rest.zfill(4)}"
    if kind == "tree":
        return f"folder {rest[:12]}"
    if kind.isdigit() and len(rest) == 64:
        return f"mode {kind.zfill(4)} sha256 {rest[:12]}"
    return digest if len(digest) <= 60 else f"{digest[:57]}..."
