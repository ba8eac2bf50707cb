"""Makes Python believe in compiled modules only when their source has not been touched since.

Python compares seconds and size: an edit within a second that keeps the size runs the old code (PEP 3147,
importlib's path_stats). A build would then record new source for what the old one made.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import os
import sys
import zlib
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any


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


class Metadata(ModuleType):
    """importlib.metadata, loaded once it is used: doit imports it for plugins that nobody has, and what it
    brings along, such as email, is a tenth of a build in which nothing has changed.
    """

    def entry_points(self, **selected: str) -> object:
        """What doit imports by its name."""
        return self.__getattr__("entry_points")(**selected)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 (a module's content)
        """Anything else of it, but for what the import itself asks for."""
        if name.startswith("__"):
            raise AttributeError(name)
        sys.modules.pop(self.__name__, None)
        return getattr(importlib.import_module(self.__name__), name)


def install(top: Path) -> None:
    """Load what lies below `top` so; other modules as ever."""
    built = tuple(f"{top}{os.sep}{name}{os.sep}" for name in ("build", "output", ".venv"))

    def hook(folder: str) -> importlib.machinery.FileFinder:
        if not f"{folder}{os.sep}".startswith(f"{top}{os.sep}") or f"{folder}{os.sep}".startswith(built):
            raise ImportError
        return importlib.machinery.FileFinder(folder, (Loader, importlib.machinery.SOURCE_SUFFIXES))

    sys.path_hooks.insert(0, hook)
    sys.path_importer_cache.clear()
    sys.modules.setdefault("importlib.metadata", Metadata("importlib.metadata"))
