"""How long a guest is waited for."""

from __future__ import annotations

import os

MOST_STRETCHED = 4.0


def stretched(seconds: float) -> float:
    """A time as it is on a host that does other work besides, up to MOST_STRETCHED times as long.

    An emulated guest's clock goes on while the guest waits for a processor.
    """
    return seconds * min(MOST_STRETCHED, max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1)))
