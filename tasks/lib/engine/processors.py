"""How much can be done at once."""

from __future__ import annotations

import os


def processors() -> int:
    """How many this process may use; macOS cannot tell, and has the machine's."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
