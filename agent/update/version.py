"""Versions and their order (Semantic Versioning 2.0.0, items 2, 9, 10, 11)."""

from __future__ import annotations

import re
from functools import total_ordering

LONGEST = 64
NUMBER = r"(?:0|[1-9][0-9]{0,8})"
IDENTIFIER = rf"(?:{NUMBER}|[0-9]*[A-Za-z-][0-9A-Za-z-]*)"
PATTERN = re.compile(
    rf"(?P<core>{NUMBER}\.{NUMBER}\.{NUMBER})(?:-(?P<pre>{IDENTIFIER}(?:\.{IDENTIFIER})*))?"
    r"(?:\+[0-9A-Za-z.-]+)?",
    re.ASCII,
)


@total_ordering
class Version:
    """A version; ValueError when it is none. What stands behind a plus sign does not count in comparisons."""

    def __init__(self, text: str) -> None:
        found = PATTERN.fullmatch(text) if len(text) <= LONGEST else None
        if not found:
            raise ValueError(f"{text[:LONGEST]!r} is no version such as 1.2.3")
        self.text = text
        core = tuple(int(number) for number in found["core"].split("."))
        before = tuple(rank(word) for word in found["pre"].split(".")) if found["pre"] else None
        # A version comes after all of its pre-releases.
        self.key = (core, before is None, before or ())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Version) and self.key == other.key

    def __lt__(self, other: Version) -> bool:
        return self.key < other.key

    def __hash__(self) -> int:
        return hash(self.key)

    def __str__(self) -> str:
        return self.text


def rank(word: str) -> tuple[bool, int, str]:
    """Numbers by value, and before words, which go by their letters."""
    return (False, int(word), "") if word.isdigit() else (True, 0, word)
