"""Sizes, times and digests for people."""

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
