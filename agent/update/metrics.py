"""What Prometheus can know of updates: a file that overlay/usr/lib/kubesolo-os/metrics serves with the rest.

Text format 0.0.4 (Prometheus, "Exposition formats"). Nothing of Python runs while nobody updates.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress

from agent.update.errors import WRONG_USAGE
from agent.update.state import PHASES as PHASES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

# Phases in which `to` names a version that this node does not have yet.
UNDERWAY = ("downloading", "staged", "activated", "failed")
NOW = "run/kubesolo/update.prom"
# What the next boot starts with (init.d/45-metrics).
KEPT = "mnt/data/update/update.prom"
PROGRAM = "/usr/lib/kubesolo-os/metrics"
BUSYBOX = "/usr/bin/busybox"
PORT = 9100
# Of a reason; a label is no place for a log.
LONGEST = 200

Sample = tuple[str, object]


def write(root: Path, state: Mapping[str, object]) -> None:
    """Say what the state is, as state.json has it; `available`, if it is there, is a newer version.

    Metrics are nothing that an update should fail for: a disk that takes no write is silent here.
    """
    text = render(state)
    for name in (NOW, KEPT):
        path = root / name
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.with_name(path.name + ".new").write_text(text)
            os.replace(path.with_name(path.name + ".new"), path)


def render(state: Mapping[str, object]) -> str:
    """The text for a state."""
    phase = str(state.get("phase") or "idle")
    to = str(state.get("to") or "")
    available = bool(state.get("available", to and phase in UNDERWAY))
    refused = state.get("refused")
    versions = refused if isinstance(refused, dict) else {}
    parts = [
        metric(
            "kubesolo_os_update_available", "gauge", "Whether a newer version is known.", [("", available)]
        ),
        metric(
            "kubesolo_update_phase",
            "gauge",
            "Which phase the updater is in.",
            [(labels(phase=name), name == phase) for name in PHASES],
        ),
        metric(
            "kubesolo_update_attempts_total",
            "counter",
            "How often the updater has tried the version that it works on.",
            [("", number(state.get("attempts")))],
        ),
        metric(
            "kubesolo_update_health_failures_total",
            "counter",
            "How often a new version was found not to be well.",
            [("", number(state.get("health_failures")))],
        ),
        metric(
            "kubesolo_update_refused",
            "gauge",
            "Versions that are not tried again, and why.",
            [(labels(version=str(name), reason=str(why)), 1) for name, why in sorted(versions.items())],
        ),
    ]
    return "".join(parts)


def metric(name: str, kind: str, words: str, samples: Iterable[Sample]) -> str:
    """One metric with its samples; nothing where there are none."""
    lines = [
        f"{name}{{{text}}} {number(value)}\n" if text else f"{name} {number(value)}\n"
        for text, value in samples
    ]
    return f"# HELP {name} {words}\n# TYPE {name} {kind}\n{''.join(lines)}" if lines else ""


def labels(**values: str) -> str:
    """Labels with what the format wants escaped; a value has one line."""
    pairs = []
    for name, value in values.items():
        text = " ".join(value.split())[:LONGEST].replace("\\", "\\\\").replace('"', '\\"')
        pairs.append(f'{name}="{text}"')
    return ",".join(pairs)


def number(value: object) -> int:
    """A count; 0 for what is none."""
    return int(value) if isinstance(value, int) and value >= 0 else 0


def main(arguments: Sequence[str]) -> int:
    """`kubesolo-update metrics [--listen [ADDRESS]:PORT]`: print them, or serve them until it is ended.

    Either way this program becomes the one that the node's service is. Returns 2 for wrong usage; raises
    OSError where that can not be started.
    """
    words = list(arguments)
    if not words:
        return os.execv(PROGRAM, [PROGRAM, "--print"])
    address, colon, port = words[1].rpartition(":") if len(words) == 2 else ("", "", "")
    if words[0] != "--listen" or not colon or not port.isdecimal() or not 0 < int(port) < 65536:
        sys.stderr.write("usage: kubesolo-update metrics [--listen [ADDRESS]:PORT]\n")
        return WRONG_USAGE
    where = ["-s", address] if address else []
    return os.execv(BUSYBOX, ["nc", "-ll", *where, "-p", port, "-e", PROGRAM])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
