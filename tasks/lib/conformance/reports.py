"""Reads what the suite reports of a batch: Ginkgo's JSON (github.com/onsi/ginkgo/v2/types, Report)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tasks.lib.conformance.verdicts import FAILED, PASSED, SKIPPED, Verdict
from tasks.lib.errors import BuildError

Json = dict[str, Any]
# Ginkgo's states that say something about the spec; "interrupted" and "aborted" do not.
FAILURES = ("failed", "panicked", "timedout")
REASON_LENGTH = 400
NANOSECONDS = 1e9
ESCAPES = re.compile(r"\x1b\[[0-9;]*m")


def read(path: Path, wanted: Iterable[str]) -> dict[str, Verdict]:
    """The verdicts on the wanted specs; those that were not run, or not to their end, are missing.

    Raises BuildError when there is no whole report, or when the suite did not get as far as its specs.
    """
    try:
        suites: list[Json] = json.loads(path.read_text())
        if not isinstance(suites, list):
            raise TypeError("not a list")
        entries = [entry for suite in suites for entry in suite.get("SpecReports") or []]
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise BuildError(f"{path}: no report of the suite: {error}") from error
    names = set(wanted)
    found = {
        name: verdict
        for entry in entries
        if (name := full_name(entry)) in names and (verdict := judge(entry)) is not None
    }
    broken = [entry for entry in entries if entry["LeafNodeType"] != "It" and entry["State"] in FAILURES]
    if broken and not found:
        raise BuildError(f"the suite could not begin: {broken[0]['LeafNodeType']}: {reason(broken[0])}")
    return found


def shrink(path: Path) -> None:
    """Leave the specs out of a report that were not to be run: they are most of its 12 MB."""
    suites = json.loads(path.read_text())
    for suite in suites:
        entries = suite.get("SpecReports") or []
        suite["SpecReports"] = [one for one in entries if one["State"] != "skipped" or reason(one)]
    path.write_text(json.dumps(suites, indent=1))


def full_name(entry: Json) -> str:
    """The name of a spec as the suite lists it: its containers' texts and its own."""
    return " ".join([*(entry.get("ContainerHierarchyTexts") or []), entry.get("LeafNodeText") or ""])


def judge(entry: Json) -> Verdict | None:
    """The verdict on a spec; None when it has none. One that was filtered out is skipped without a reason."""
    seconds = entry.get("RunTime", 0) / NANOSECONDS
    state = entry["State"]
    if state == "passed":
        return Verdict(PASSED, seconds)
    if state in FAILURES:
        return Verdict(FAILED, seconds, reason(entry))
    if state == "skipped" and (why := reason(entry)):
        return Verdict(SKIPPED, seconds, why)
    return None


def reason(entry: Json) -> str:
    """What the suite says about a failure, in one line."""
    failure = entry.get("Failure") or {}
    text = ESCAPES.sub("", failure.get("ForwardedPanic") or failure.get("Message") or "")
    return " ".join(text.split())[:REASON_LENGTH]
