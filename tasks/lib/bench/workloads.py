"""The rows of ./doit bench workloads: what is measured, on how large a node, and what limits it."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.lib.bench import loads, report
from tasks.lib.bench.host import describe_host
from tasks.lib.bench.node import CYCLES, IDLE_SECONDS, Node, Say, started
from tasks.lib.errors import BuildError
from tasks.lib.vm.accel import Acceleration

NAME = "workloads"
Result = dict[str, Any]


@dataclass(frozen=True)
class Row:
    """One measurement.

    memory: of its node, in MiB. describe: the lines of the table that its result gives: what, goal, figure.
    limit: what limits it, where the result does not say so itself. alone: it leaves a node behind on which
    nothing else can be measured.
    """

    measure: Callable[[Node], Result]
    memory: int
    describe: Callable[[Result], Sequence[tuple[str, str, str]]]
    limit: str = ""
    alone: bool = False


@dataclass(frozen=True)
class Settings:
    """How long is measured: pods that come and go in `cycles`, seconds of idleness in `disk`."""

    cycles: int = CYCLES
    idle: float = IDLE_SECONDS


def describe_pods(result: Result) -> list[tuple[str, str, str]]:
    """How many pods there were, and what each of them cost."""
    memory = result["memory"]
    cost = (memory[-1] - memory[0]) / ((len(memory) - 1) * loads.STEP) if len(memory) > 1 else 0
    figure = f"{result['pods']}; {cost:.1f} MiB each" if cost else str(result["pods"])
    return [("pods that are Ready", "", figure)]


def describe_start(result: Result) -> list[tuple[str, str, str]]:
    """From asking to Ready."""
    return [("a pod is asked for until it is Ready (s), p50 / p99", "", pair(result["seconds"]))]


def describe_api(result: Result) -> list[tuple[str, str, str]]:
    """A line for each number of objects."""
    return [
        (
            f"API with {count} objects (ms), p50 / p99: create, get, list",
            "",
            ", ".join(pair(row[verb], 1000) for verb in ("create", "get", "list")),
        )
        for count, row in result["objects"].items()
    ]


def describe_cycles(result: Result) -> list[tuple[str, str, str]]:
    """How memory went on."""
    points = result["memory"]
    ends = f"{points[0][1]:.0f} → {points[-1][1]:.0f} MiB" if points else "not measured"
    what = f"memory over {result['cycles']} pods that came and went; growth in the second half (KiB a pod)"
    return [(what, "flat", f"{ends}; {result['kib_per_cycle']:+.1f}")]


def describe_services(result: Result) -> list[tuple[str, str, str]]:
    """A line for each number of Services."""
    return [
        (f"a Service's port changes until it answers, {count} Services (s), p50 / p99", "", pair(row))
        for count, row in result["services"].items()
    ]


def describe_disk(result: Result) -> list[tuple[str, str, str]]:
    """Megabytes a minute."""
    what = f"written to the disk by an idle node (MB/min, over {result['seconds']:.0f} s)"
    return [(what, "< 1", f"{result['mb_per_minute']:.2f}")]


def pair(summary: Mapping[str, float], factor: float = 1) -> str:
    """Both percentiles."""
    places = 0 if factor > 1 else 2
    return f"{summary['p50'] * factor:.{places}f} / {summary['p99'] * factor:.{places}f}"


# In this order: an idle node is measured before anything has run on it.
ROWS: dict[str, Row] = {
    "pods-512": Row(loads.pods, 512, describe_pods, alone=True),
    "pods-1024": Row(loads.pods, 1024, describe_pods, alone=True),
    "pods-2048": Row(loads.pods, 2048, describe_pods, alone=True),
    "disk": Row(loads.disk, 1024, describe_disk, "leases and compaction, each a commit that is flushed"),
    "start": Row(loads.start, 1024, describe_start, "processor: shim, crun and CNI plugins are started anew"),
    "services": Row(
        loads.services, 1024, describe_services, "processor, and kube-proxy's wait before changes"
    ),
    "api": Row(loads.api, 1024, describe_api, "processor; a write waits for the disk's flush besides"),
    "cycles": Row(loads.cycles, 1024, describe_cycles, "the payload's heap; freed pages go back with delay"),
}


def chosen(only: str, known: Mapping[str, Any], *, again: bool) -> list[str]:
    """The rows that are named, or all that have no result yet; all with `again`, or when none is left.

    Raises BuildError for one that does not exist.
    """
    names = [name for name in only.split(",") if name]
    if unknown := [name for name in names if name not in ROWS]:
        raise BuildError(f"bench workloads: unknown: {', '.join(unknown)}", f"choose from {', '.join(ROWS)}")
    left = [name for name in ROWS if name not in known]
    wanted = names or (list(ROWS) if again or not left else left)
    return [name for name in ROWS if name in wanted]


def on_one_node(names: Sequence[str]) -> list[list[str]]:
    """The rows in groups, each of which is measured on one node, in this order."""
    groups: list[list[str]] = []
    for name in names:
        row = ROWS[name]
        last = ROWS[groups[-1][0]] if groups else None
        if last and not row.alone and not last.alone and row.memory == last.memory:
            groups[-1].append(name)
        else:
            groups.append([name])
    return groups


def stored() -> dict[str, Any]:
    """The results so far, by row; nothing when there are none that can be read."""
    try:
        found = json.loads((report.RESULTS / f"{NAME}.json").read_text())
    except (OSError, ValueError):
        return {}
    return {name: row for name, row in found.items() if name in ROWS} if isinstance(found, dict) else {}


def measure(
    names: Sequence[str], iso: Path, accelerator: Acceleration, image: str, settings: Settings, say: Say
) -> Iterator[tuple[str, Result]]:
    """Rows and their results, one by one, on a machine for each group of them."""
    for group in on_one_node(names):
        memory = ROWS[group[0]].memory
        say(f"a node with {memory} MiB: {', '.join(group)}")
        with (
            tempfile.TemporaryDirectory(prefix="kubesolo-bench-") as folder,
            started(iso, accelerator, memory, Path(folder), image) as node,
        ):
            node.say, node.cycles, node.idle = say, settings.cycles, settings.idle
            for name in group:
                host, row = describe_host(), ROWS[name]
                result = row.measure(node)
                result = {"limit": row.limit, **result, "host": str(host), "accelerator": accelerator.name}
                yield name, result


def describe(results: Mapping[str, Result]) -> str:
    """A table of all rows that there are results of, and where each was measured."""
    head = ["what", "node (MiB)", "goal", "figure", "limited by"]
    lines = []
    for name, row in ROWS.items():
        if name in results:
            result = results[name]
            lines += [
                [what, str(row.memory), goal, figure, str(result.get("limit", "")).replace("|", "/")]
                for what, goal, figure in row.describe(result)
            ]
    places: dict[str, list[str]] = {}
    for name in ROWS:
        if name in results:
            kind = results[name]["accelerator"]
            engine = "QEMU TCG, pure emulation" if kind == "tcg" else f"QEMU with {kind}"
            places.setdefault(f"{engine}, on {results[name]['host']}", []).append(name)
    where = "".join(f"{place}: {', '.join(names)}.\n" for place, names in places.items())
    missing = [name for name in ROWS if name not in results]
    rest = f"Not measured yet: {', '.join(missing)}.\n" if missing else ""
    return f"{where}{rest}\n{report.table(head, lines)}"
