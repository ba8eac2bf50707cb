"""How long a guest is waited for."""

from __future__ import annotations

import os

from tasks.lib.engine.capacity import processors

# Nothing is lost by waiting longer for what comes in the end. A load that has just begun is not in the load
# average yet, so much is allowed on a quiet host as well.
LEAST_STRETCHED, MOST_STRETCHED = 3.0, 6.0


def stretched(seconds: float) -> float:
    """The deadline, in seconds, for what takes at most `seconds` on an idle host.

    An emulated guest's clock goes on while the guest waits for a processor.
    """
    load = os.getloadavg()[0] / processors()
    return seconds * min(MOST_STRETCHED, max(LEAST_STRETCHED, load))
