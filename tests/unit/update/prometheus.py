"""A strict reader of Prometheus' text format 0.0.4: what promtool would refuse is refused."""

from __future__ import annotations

import re

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*"'
SAMPLE = re.compile(rf"({NAME})(?:\{{({LABEL}(?:,{LABEL})*)\}})? (-?[0-9]+(?:\.[0-9]+)?)")
COMMENT = re.compile(rf"# (HELP|TYPE) ({NAME}) (.+)")


def parse(text: str) -> dict[str, float]:
    """Samples by name and labels, as they are written.

    Raises AssertionError for a sample without HELP and TYPE, out of its metric's group, or twice.
    """
    assert text.endswith("\n")
    found: dict[str, float] = {}
    helped: list[str] = []
    typed: dict[str, str] = {}
    for line in text.splitlines():
        if comment := COMMENT.fullmatch(line):
            what, name, words = comment.groups()
            if what == "HELP":
                assert name not in helped, f"HELP twice: {line}"
                helped.append(name)
            else:
                assert name == helped[-1], f"TYPE without HELP: {line}"
                assert name not in typed, f"TYPE twice: {line}"
                assert words in ("gauge", "counter"), line
                typed[name] = words
            continue
        sample = SAMPLE.fullmatch(line)
        assert sample, f"no sample: {line!r}"
        name, labels, value = sample.groups()
        assert typed
        assert name == list(typed)[-1], f"not in its group: {line}"
        assert (typed[name] == "counter") == name.endswith("_total"), (
            f"a counter's name ends in _total: {line}"
        )
        key = f"{name}{{{labels}}}" if labels else name
        assert key not in found, f"twice: {line}"
        found[key] = float(value)
    return found
