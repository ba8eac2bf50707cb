"""What a value of versions.toml may be, and on which line it stands."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Rule:
    """What a value may be.

    wrong: what is wrong about a value, "" when nothing is. allowed: what would be right.
    """

    wrong: Callable[[Any], str]
    allowed: str


def judge(check: Callable[[Any], bool]) -> Callable[[Any], str]:
    """What is wrong about a value that fails the check."""
    return lambda value: "" if check(value) else f"is {shown(value)}"


def one_of(*values: str) -> Rule:
    """One of a few words."""
    return Rule(judge(lambda value: value in values), " or ".join(f'"{value}"' for value in values))


def text(pattern: str, allowed: str) -> Rule:
    """A string that matches the pattern from its first to its last character."""
    return Rule(
        judge(lambda value: isinstance(value, str) and re.fullmatch(pattern, value) is not None), allowed
    )


def whole(least: int, most: int, allowed: str) -> Rule:
    """A whole number between two others."""
    return Rule(judge(lambda value: type(value) is int and least <= value <= most), allowed)


def texts(pattern: str, allowed: str, never: Mapping[str, str] | None = None) -> Rule:
    """A list of different strings that each match the pattern. never: what is refused, with what it is."""
    single = text(pattern, allowed)

    def wrong(value: Any) -> str:  # noqa: ANN401 (whatever the file holds)
        if not isinstance(value, list):
            return f"is {shown(value)}"
        for number, item in enumerate(value):
            if single.wrong(item):
                return f"has {shown(item)}"
            if item in value[:number]:
                return f"has {shown(item)} twice"
            if never and item in never:
                return f"has {never[item]}"
        return ""

    return Rule(wrong, f"a list of different strings, each {allowed}")


def shown(value: object) -> str:
    """A value as one would write it in the file, shortened."""
    words = {bool: str(value).lower(), str: f'"{value}"'}
    result = words.get(type(value), repr(value))
    return result if len(result) <= 60 else result[:57] + "..."


def line_of(source: str, where: tuple[str, ...]) -> int:
    """The number of the line that defines the key; of its section, when the key is missing; else 1."""
    section: list[str] = []
    best = 1
    for number, line in enumerate(source.splitlines(), 1):
        if header := re.match(r"\s*\[+\s*([^\]#]+?)\s*\]+", line):
            section = split_key(header[1])
            if tuple(section) == where[: len(section)]:
                best = number
            if tuple(section) == where:
                return number
        elif assignment := re.match(r"\s*([A-Za-z0-9_.\"' -]+?)\s*=", line):
            name = (*section, *split_key(assignment[1]))
            if name[: len(where)] == where:
                return number
    return best


def split_key(dotted: str) -> list[str]:
    """The parts of a dotted key, without quotes."""
    return [part.strip().strip("\"'") for part in dotted.split(".")]
