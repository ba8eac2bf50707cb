"""What is wrong with a configuration, and where."""

from __future__ import annotations

import re
from collections.abc import Iterable

ERROR = "error"
WARNING = "warning"
SHOWN = 50


class Problem:
    """One error or warning; `line` and `column` count from 1 and are 0 when there is no such place."""

    __slots__ = ("column", "file", "key", "line", "severity", "text")

    def __init__(self, severity: str, file: str, line: int, column: int, key: str, text: str) -> None:
        self.severity = severity
        self.file = file
        self.line = line
        self.column = column
        self.key = key
        self.text = text

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        mark = "" if self.severity == ERROR else f"{self.severity}: "
        return f"{place}: {mark}{self.key}{': ' if self.key else ''}{self.text}"

    def record(self) -> dict[str, object]:
        """For JSON."""
        return {name: getattr(self, name) for name in ("file", "line", "column", "key", "text")}


class Problems:
    """Collects what is wrong with one file; `boot` makes warnings of what a node can leave out."""

    def __init__(self, file: str, boot: bool = False) -> None:
        self.file = file
        self.boot = boot
        self.found: list[Problem] = []

    def error(self, place: Place, key: str, text: str) -> None:
        """What makes a section unusable."""
        self.found.append(Problem(ERROR, self.file, *place, key, text))

    def warn(self, place: Place, key: str, text: str) -> None:
        """What is changed or left out."""
        self.found.append(Problem(WARNING, self.file, *place, key, text))

    def unknown(self, place: Place, key: str, text: str) -> None:
        """What a person should correct and a booting node can do without."""
        (self.warn if self.boot else self.error)(place, key, text)


# Line and column, from 1.
Place = tuple[int, int]
NOWHERE: Place = (0, 0)


def errors(problems: Iterable[Problem]) -> list[Problem]:
    """Those that are errors."""
    return [problem for problem in problems if problem.severity == ERROR]


def warnings(problems: Iterable[Problem]) -> list[Problem]:
    """Those that are warnings."""
    return [problem for problem in problems if problem.severity == WARNING]


def lines(problems: Iterable[Problem]) -> list[str]:
    """The messages: errors first, in the order of the file; after 50, only how many more there are."""
    found = list(problems)
    found.sort(key=lambda problem: (problem.severity != ERROR, problem.file, problem.line, problem.column))
    texts = [str(problem) for problem in found[:SHOWN]]
    if len(found) > SHOWN:
        texts.append(f"... and {len(found) - SHOWN} more")
    return texts


def join(path: str, name: str) -> str:
    """The path of a key below another. Of a name, what can be a key's: behind it, a secret may stand."""
    found = re.match(r"[\w.<~*-]{0,32}", name)
    name = name if found and found[0] == name else f"{found[0] if found else ''}..."
    return f"{path}.{name}" if path else name


def quoted(text: str) -> str:
    """A text for a message: on one line, printable, and not too long."""
    return f"'{shown(text)}'"


def shown(text: str) -> str:
    """The same without quotes."""
    text = text if len(text) <= 60 else f"{text[:57]}..."
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def nearest(name: str, known: Iterable[str]) -> str:
    """`; did you mean ...?` when a known name looks like this one, else ""."""
    from difflib import get_close_matches

    found = get_close_matches(name[:60].lower().replace("_", "-"), list(known), 1, 0.7)
    found = found or get_close_matches(name[:60], list(known), 1, 0.7)
    return f"; did you mean '{found[0]}'?" if found else ""
