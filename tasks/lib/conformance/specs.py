"""The suite's specs by their full names: listed, chosen, and named to the suite again."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from tasks.lib.errors import BuildError

CONFORMANCE = r"\[Conformance\]"
# What `e2e.test --list-tests` prints (test/e2e/framework/test_context.go): file, line and full name.
LINE = re.compile(r"\s+\S+:\d+: (\S.*)")
# Specs that change the node or measure it; nothing may run beside them.
ALONE = re.compile(r"\[(Serial|Disruptive)\]")


def parse_list(text: str) -> list[str]:
    """The names in what the suite lists, sorted; some stand there twice.

    Raises BuildError when there is none.
    """
    found = {match[1] for line in text.splitlines() if (match := LINE.fullmatch(line))}
    if not found:
        raise BuildError(f"the suite lists no specs: {text[:500]}")
    return sorted(found)


def chosen(names: Iterable[str], focus: str, skip: str) -> list[str]:
    """The names that `focus` matches and `skip`, unless it is empty, does not.

    Raises BuildError for a pattern that is no regular expression, and when nothing is left.
    """
    wanted, unwanted = compiled("focus", focus), compiled("skip", skip)
    left = [name for name in names if wanted.search(name) and not (skip and unwanted.search(name))]
    if not left:
        raise BuildError("no spec has such a name", f"--focus {focus!r}, --skip {skip!r}")
    return left


def compiled(option: str, pattern: str) -> re.Pattern[str]:
    """A regular expression from the command line."""
    try:
        return re.compile(pattern)
    except re.error as error:
        raise BuildError(f"--{option} {pattern}: no regular expression: {error}") from error


def parted(names: Iterable[str]) -> tuple[list[str], list[str]]:
    """Those that may run beside others, and those that must run alone."""
    beside: list[str] = []
    alone: list[str] = []
    for name in names:
        (alone if ALONE.search(name) else beside).append(name)
    return beside, alone


def focus_options(names: Sequence[str]) -> list[str]:
    """The options that make the suite run these alone. Ginkgo matches with the suite's own name in front."""
    return [f"--ginkgo.focus= {escaped(name)}$" for name in names]


def escaped(name: str) -> str:
    """A name as Go's regular expressions (re2) match it."""
    return re.sub(r"([\\.+*?()|\[\]{}^$])", r"\\\1", name)
