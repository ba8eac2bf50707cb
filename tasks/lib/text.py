"""Sizes and times for people."""

from __future__ import annotations


def size_text(size: float) -> str:
    """Bytes with a decimal unit, as in "118.4 MB"."""
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.2f} GB"


def seconds_text(seconds: float) -> str:
    """A duration, as in "0.34 s", "41 s" or "4 min 05 s"."""
    if seconds < 10:
        return f"{seconds:.2f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s"


def whole_seconds(seconds: float) -> str:
    """A duration that is still going on: no decimals."""
    return seconds_text(seconds) if seconds >= 60 else f"{seconds:.0f} s"
