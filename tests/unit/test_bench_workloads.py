"""What ./doit bench workloads makes of what it measures; the nodes are made up, the measuring is real."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tasks.lib.bench import figures, loads, parts, report, workloads
from tasks.lib.bench.node import Node
from tasks.lib.errors import BuildError
from tasks.lib.vm.kube import path_of

READY = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
NO_ROOM = {"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable",
                           "message": "0/1 nodes are available: 1 Too many pods."}]}  # fmt: skip


def test_percentiles_are_values_that_occurred() -> None:
    values = [float(number) for number in range(1, 101)]
    assert figures.percentile(values, 0.5) == 50
    assert figures.percentile(values, 0.99) == 99
    assert figures.percentile(values, 1) == 100
    assert figures.percentile([3, 1, 2], 0.5) == 2
    assert figures.percentile([3, 1], 0.5) == 1
    assert figures.percentile([7], 0) == 7
    assert figures.summary([4, 1, 2, 3]) == {"p50": 2, "p99": 4, "count": 4}
    with pytest.raises(ValueError, match="no values"):
        figures.percentile([], 0.5)


def test_slopes() -> None:
    assert figures.slope([(0, 1), (1, 3), (2, 5)]) == 2
    assert figures.slope([(0, 5), (10, 5), (20, 5)]) == 0
    assert figures.slope([(1, 2), (1, 9)]) == 0
    assert figures.slope([(1, 2)]) == 0
    assert figures.slope([(0, 0), (1, 2), (2, 1), (3, 3)]) == pytest.approx(0.8)


@dataclass
class FakeCluster:
    """Pods are Ready at once, until there are `room` of them."""

    room: int = 1000
    objects: dict[str, dict[str, Any]] = field(default_factory=dict)
    conditions: list[dict[str, str]] = field(default_factory=list)
    applied: Callable[[dict[str, Any]], None] = lambda wanted: None

    def apply(self, wanted: dict[str, Any]) -> dict[str, Any]:
        if wanted["kind"] == "Pod":
            running = sum(thing["kind"] == "Pod" for thing in self.objects.values())
            wanted = {**wanted, "status": READY if running < self.room else NO_ROOM}
        self.objects[path_of(wanted)] = wanted
        self.applied(wanted)
        return wanted

    def delete(self, wanted: dict[str, Any]) -> None:
        del self.objects[path_of(wanted)]

    def get(self, path: str) -> dict[str, Any]:
        if path == loads.NODES:
            return {"items": [{"status": {"conditions": self.conditions}}]}
        if path in self.objects:
            return self.objects[path]
        return {"items": [thing for name, thing in self.objects.items() if name.startswith(path)]}

    def request(self, method: str, path: str) -> None:
        assert method == "DELETE"
        self.objects = {name: thing for name, thing in self.objects.items() if not name.startswith(path)}

    def wait(self, path: str, wanted: Callable[[dict[str, Any]], bool], timeout: float, what: str) -> None:
        if not wanted(self.objects[path]):
            raise BuildError(f"{what}: not within {timeout:.0f} s; {path}")


def node(cluster: FakeCluster, cycles: int = 10, idle: float = 1) -> Node:
    used = iter(range(100, 10_000))
    memory = SimpleNamespace(memory=lambda timeout: SimpleNamespace(without_images=next(used) * 1024))
    machine: Any = SimpleNamespace(host=memory)
    wanted: Any = cluster
    return Node(machine, wanted, "pause:1", cycles, idle)


def test_pods_are_added_until_the_scheduler_has_no_room() -> None:
    found = loads.pods(node(FakeCluster(room=34)))
    assert found["pods"] == 34
    assert found["limit"] == "0/1 nodes are available: 1 Too many pods."
    assert found["memory"] == [100, 101, 102, 103]
    [(_, _, figure)] = workloads.describe_pods(found)
    assert figure == "34; 0.1 MiB each"


def test_the_node_s_own_word_is_what_limits_it() -> None:
    cluster = FakeCluster(room=0, conditions=[{"type": "MemoryPressure", "status": "True"}])
    assert loads.pods(node(cluster)) == {"pods": 0, "memory": [100], "limit": "the node says MemoryPressure"}
    assert workloads.describe_pods({"pods": 0, "memory": [100]})[0][2] == "0"


def test_an_api_that_has_gone_is_what_limits_it(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = FakeCluster(room=0)
    monkeypatch.setattr(cluster, "get", fail)
    assert loads.pods(node(cluster))["limit"] == "the API server does not answer any more"


def fail(*arguments: object) -> dict[str, Any]:
    raise BuildError("gone")


def test_pods_that_end_are_no_pods() -> None:
    assert loads.refused(
        {"status": {"phase": "Failed", "message": "Pod was rejected: out of pods"}}
    ).startswith("Pod was")
    assert loads.refused({"status": {"phase": "Failed", "reason": "Evicted"}}) == "Evicted"
    assert loads.refused({"status": READY}) == ""
    assert loads.refused({}) == ""


def test_memory_over_cycles_counts_the_second_half(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loads, "SETTLE_SECONDS", 0)
    cluster = FakeCluster()
    found = loads.cycles(node(cluster, cycles=200))
    assert found["memory"] == [(50, 100), (100, 101), (150, 102), (200, 103)]
    assert found["kib_per_cycle"] == pytest.approx(1024 / 50)
    assert not cluster.objects
    [(_, goal, figure)] = workloads.describe_cycles(found)
    assert (goal, figure) == ("flat", "100 → 103 MiB; +20.5")


def test_objects_are_as_many_as_the_row_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loads, "OBJECTS", (3, 7))
    cluster = FakeCluster()
    most = [0]
    cluster.applied = lambda wanted: most.append(len(cluster.objects))
    found = loads.api(node(cluster))["objects"]
    assert [found[count]["create"]["count"] for count in ("3", "7")] == [3, 4]
    assert max(most) == 7
    assert not cluster.objects
    assert [row[0].split()[2] for row in workloads.describe_api({"objects": found})] == ["3", "7"]


def test_starts_leave_no_pod(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loads, "STARTS", 25)
    cluster = FakeCluster()
    said: list[str] = []
    this = node(cluster)
    this.say = said.append
    assert loads.start(this)["seconds"]["count"] == 25
    assert [text.split()[0] for text in said] == ["10", "20"]
    assert not cluster.objects


def test_service_changes_are_waited_for_where_they_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """The port answers a while after the change: that while is what is measured."""
    monkeypatch.setattr(loads, "SERVICES", (1, 4))
    monkeypatch.setattr(loads, "FLIPS", 3)
    changed = [0.0]

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if time.monotonic() > changed[0] + 0.2 else 503)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    def note(wanted: dict[str, Any]) -> None:
        changed[0] = time.monotonic()

    cluster = FakeCluster(applied=note)
    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        this = node(cluster)
        this.machine.port = lambda guest: server.server_port  # type: ignore[method-assign]
        found = loads.services(this)["services"]
        server.shutdown()
    assert found.keys() == {"1", "4"}
    assert all(0.2 <= row["p50"] < 5 for row in found.values())
    assert not cluster.objects


def test_an_idle_node_s_writes_are_counted_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loads, "SETTLE_SECONDS", 0)
    bytes_written = iter([1_000_000, 1_500_000])
    this = node(FakeCluster(), idle=0.1)
    rows = [{"stats": {"wr_bytes": 0}}]
    this.machine.monitor = SimpleNamespace(  # type: ignore[assignment]
        execute=lambda command: [*rows, {"stats": {"wr_bytes": next(bytes_written)}}]
    )
    assert loads.disk(this)["mb_per_minute"] == pytest.approx(0.5 / 0.1 * 60)


def test_rows_without_a_result_are_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert workloads.chosen("", {}, again=False) == list(workloads.ROWS)
    assert workloads.chosen("", {"api": 1, "disk": 1}, again=False) == [
        name for name in workloads.ROWS if name not in ("api", "disk")
    ]
    assert workloads.chosen("api,disk", {"api": 1}, again=False) == ["disk", "api"], "in order of the rows"
    assert workloads.chosen("", dict.fromkeys(workloads.ROWS), again=False) == list(workloads.ROWS)
    assert workloads.chosen("", {"api": 1}, again=True) == list(workloads.ROWS)
    with pytest.raises(BuildError, match="unknown: pods-7") as caught:
        workloads.chosen("pods-7", {}, again=False)
    assert "pods-512" in caught.value.hint
    monkeypatch.setattr(report, "RESULTS", tmp_path)
    assert workloads.stored() == {}
    (tmp_path / "workloads.json").write_text('{"api": {"a": 1}, "of an old version": {}}')
    assert workloads.stored() == {"api": {"a": 1}}
    (tmp_path / "workloads.json").write_text("[")
    assert workloads.stored() == {}


def test_each_row_is_kept_as_soon_as_it_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    document = tmp_path / "benchmarks.md"
    document.write_text("<!-- workloads -->\n<!-- /workloads -->\n")
    monkeypatch.setattr(report, "RESULTS", tmp_path)
    monkeypatch.setattr(report, "DOCUMENT", document)

    def measured(names: list[str], *arguments: object) -> Iterator[tuple[str, dict[str, Any]]]:
        yield (
            names[1],
            {"mb_per_minute": 0.4, "seconds": 300, "limit": "a|b", "host": "X", "accelerator": "tcg"},
        )
        raise BuildError("the machine has gone")

    monkeypatch.setattr(workloads, "measure", measured)
    with pytest.raises(BuildError):
        parts.bench_workloads(Path("x.iso"), "disk,pods-512", workloads.Settings(), again=False, kvm=False)
    assert json.loads((tmp_path / "workloads.json").read_text()).keys() == {"disk"}
    text = document.read_text()
    assert "QEMU TCG, pure emulation, on X: disk." in text
    assert "Not measured yet: pods-512, pods-1024" in text
    assert "| < 1 | 0.40 | a/b |" in text


def test_rows_share_a_node_where_they_leave_nothing_behind() -> None:
    assert workloads.on_one_node(list(workloads.ROWS)) == [
        ["pods-512"], ["pods-1024"], ["pods-2048"], ["disk", "start", "services", "api", "cycles"],
    ]  # fmt: skip
    assert workloads.on_one_node(["api"]) == [["api"]]
    assert workloads.on_one_node([]) == []


def test_the_document_has_the_section() -> None:
    report.replace_section(report.DOCUMENT.read_text(), workloads.NAME, "x")
