"""Makes Python believe in compiled modules only when their source has not been touched since.

Python compares seconds and size: an edit within a second that keeps the size runs the old code (PEP 3147,
importlib's path_stats). A build would then record new source for what the old one made.
"""

from __future__ import annotations

import importlib.machinery
import os
import sys
import zlib
from collections.abc import Mapping
from pathlib import Path


class Loader(importlib.machinery.SourceFileLoader):
    """Loads modules of the checkout."""

    def path_stats(self, path: str) -> Mapping[str, int]:
        """In the place of the time, what changes with every change: change time in ns and inode."""
        info = os.stat(path)  # noqa: PTH116
        mark = zlib.crc32(f"{info.st_ctime_ns}:{info.st_ino}".encode())
        return {"mtime": mark, "size": info.st_size}

    def get_data(self, path: str) -> bytes:
        """Source as it is; compiled code from files of our own, which tests and tools do not overwrite."""
        return super().get_data(own_name(path))

    def set_data(self, path: str, data: bytes, **mode: int) -> None:  # type: ignore[override]
        """Keep compiled code."""
        super().set_data(own_name(path), data, **mode)


def own_name(path: str) -> str:
    """x.cpython-311.pyc -> x.cpython-311.doit.pyc"""
    return f"{path.removesuffix('.pyc')}.doit.pyc" if path.endswith(".pyc") else path


def install(top: Path) -> None:
    """Load what lies below `top` so; other modules as ever."""
    built = tuple(f"{top}{os.sep}{name}{os.sep}" for name in ("build", "output", ".venv"))

    def hook(folder: str) -> importlib.machinery.FileFinder:
        if not f"{folder}{os.sep}".startswith(f"{top}{os.sep}") or f"{folder}{os.sep}".startswith(built):
            raise ImportError
        return importlib.machinery.FileFinder(folder, (Loader, importlib.machinery.SOURCE_SUFFIXES))

    sys.path_hooks.insert(0, hook)
    sys.path_importer_cache.clear()
