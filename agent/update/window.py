"""The maintenance window: a part of each day, in UTC, in which a node may be changed."""

from __future__ import annotations

import re
from dataclasses import dataclass

PATTERN = re.compile(
    r"(?P<h1>[01][0-9]|2[0-3]):(?P<m1>[0-5][0-9])-(?P<h2>[01][0-9]|2[0-3]):(?P<m2>[0-5][0-9])", re.ASCII
)


@dataclass(frozen=True)
class Window:
    """From `start` until before `end`, in minutes since midnight; over midnight when the end is earlier."""

    start: int
    end: int

    def contains(self, minute: int) -> bool:
        """Whether a minute of the day lies in it."""
        if self.start < self.end:
            return self.start <= minute < self.end
        return minute >= self.start or minute < self.end

    def wait(self, minute: int) -> int:
        """Minutes until it opens; 0 while it is open."""
        return 0 if self.contains(minute) else (self.start - minute) % 1440


def parse(text: str) -> Window:
    """HH:MM-HH:MM; ValueError for anything else, and for a window of no length."""
    found = PATTERN.fullmatch(text)
    if not found:
        raise ValueError(f"{text!r} is no maintenance window such as 22:30-04:00 (UTC)")
    window = Window(
        int(found["h1"]) * 60 + int(found["m1"]),
        int(found["h2"]) * 60 + int(found["m2"]),
    )
    if window.start == window.end:
        raise ValueError(f"{text!r}: a maintenance window that ends when it begins never opens")
    return window
