"""How much this machine can do at once."""

from __future__ import annotations

import os


def processors() -> int:
    """How many this process may use; macOS cannot tell, and has the machine's."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory() -> int:
    """All that the machine has, in bytes."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
