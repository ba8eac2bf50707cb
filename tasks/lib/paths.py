"""Where things lie: the checkout's folders and the cache that checkouts share."""

from __future__ import annotations

import os
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
BUILD = TOP / "build"
OUTPUT = TOP / "output"


def cache_dir() -> Path:
    """The cache shared by all checkouts of this user: $XDG_CACHE_HOME/kubesolo-os."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    root = Path(base) if base.startswith("/") else Path.home() / ".cache"
    return root / "kubesolo-os"
