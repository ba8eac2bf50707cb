"""Pods leave a node before it starts over, within budgets and a bounded time, and come back afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.update import drain, kube
from tests.unit.update.apiserver import ApiServer
from tests.unit.update.conftest import NODE

PODS = "/api/v1/pods?fieldSelector=spec.nodeName%3Dnode-1"


class Clock:
    """Time that passes by sleeping alone; `then` is what happens meanwhile."""

    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


def pod(name: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401
    return {
        "metadata": {"name": name, "namespace": "web", "uid": name, **more},
        "status": {"phase": "Running"},
    }


def set_pods(api: ApiServer, *pods: dict[str, Any]) -> None:
    """These run; one that is evicted or deleted is gone at the next look."""
    items = list(pods)
    api.objects[PODS] = {"items": items}
    for found in pods:
        path = drain.place(found)

        def gone(body: object, found: dict[str, Any] = found) -> tuple[int, object]:
            items.remove(found)
            return 200, {}

        api.answers["POST", f"{path}/eviction"] = gone
        api.answers["DELETE", path] = gone


def test_pods_are_evicted_from_a_cordoned_node(pods_root: Path, api: ApiServer, clock: Clock) -> None:
    set_pods(api, pod("a"), pod("b"))
    assert drain.drain(pods_root, 60, clock.now, clock.sleep) == []
    assert api.called("POST") == [f"/api/v1/namespaces/web/pods/{name}/eviction" for name in "ab"]
    assert next(path for method, path, _ in api.requests if method != "GET") == NODE, "cordoned first"
    assert api.objects[NODE]["spec"] == {"unschedulable": True}
    assert (pods_root / drain.MARK).exists()


def test_pods_that_would_come_back_or_have_ended_stay(pods_root: Path, api: ApiServer, clock: Clock) -> None:
    ended = pod("c") | {"status": {"phase": "Succeeded"}}
    mirror = pod("b", annotations={drain.MIRROR: "x"})
    set_pods(api, pod("a", ownerReferences=[{"kind": "DaemonSet"}]), mirror, ended)
    assert drain.drain(pods_root, 60, clock.now, clock.sleep) == []
    assert api.called("POST") == []
    assert clock.time == 0


def test_what_a_budget_protects_is_deleted_at_the_deadline(
    pods_root: Path, api: ApiServer, clock: Clock
) -> None:
    set_pods(api, pod("a"))
    api.answers["POST", "/api/v1/namespaces/web/pods/a/eviction"] = (429, {"message": "budget"})
    assert drain.drain(pods_root, 10, clock.now, clock.sleep) == ["web/a"]
    assert len(api.called("POST")) == 5
    assert api.called("DELETE") == ["/api/v1/namespaces/web/pods/a"]


def test_a_pod_that_ends_slowly_is_asked_once_and_waited_for_within_bounds(
    pods_root: Path, api: ApiServer, clock: Clock
) -> None:
    set_pods(api, pod("a", deletionTimestamp="2026-01-01T00:00:00Z"))
    assert drain.drain(pods_root, 10, clock.now, clock.sleep) == ["web/a"]
    assert api.called("POST") == api.called("DELETE") == []
    assert clock.time == 10


def test_an_answer_that_does_not_come_is_asked_for_again(
    pods_root: Path, api: ApiServer, clock: Clock
) -> None:
    set_pods(api, pod("a"))
    answers: Iterator[tuple[int, object]] = iter([(500, {}), (503, {})])
    api.answers["GET", PODS] = lambda body: next(answers, (200, api.objects[PODS]))
    assert drain.drain(pods_root, 60, clock.now, clock.sleep) == []
    assert api.called("POST") == ["/api/v1/namespaces/web/pods/a/eviction"]


def test_an_api_that_never_answers_is_said_at_the_deadline(
    pods_root: Path, api: ApiServer, clock: Clock
) -> None:
    api.answers["GET", PODS] = (500, {})
    with pytest.raises(kube.KubeError):
        drain.drain(pods_root, 10, clock.now, clock.sleep)
    assert clock.time == 10


def test_who_may_not_is_told_at_once(pods_root: Path, api: ApiServer, clock: Clock) -> None:
    api.answers["GET", PODS] = (403, {})
    with pytest.raises(kube.KubeError):
        drain.drain(pods_root, 10, clock.now, clock.sleep)
    assert clock.time == 0


def test_the_pod_that_updates_does_not_evict_itself(
    pods_root: Path, api: ApiServer, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_pods(api, pod("a"))
    monkeypatch.setattr(drain, "own_pod", lambda: "a")
    drain.drain(pods_root, 10, clock.now, clock.sleep)
    assert api.called("POST") == []


def test_ones_own_pod_is_known_by_the_control_group(tmp_path: Path) -> None:
    uid = "0f5b1c2d-1111-2222-3333-444455556666"
    groups = tmp_path / "cgroup"
    groups.write_text(f"0::/kubepods/besteffort/pod{uid}/4d5e\n")
    assert drain.own_pod(str(groups)) == uid
    groups.write_text("0::/init\n")
    assert drain.own_pod(str(groups)) == ""


def test_uncordon_undoes_what_the_updater_did(pods_root: Path, api: ApiServer) -> None:
    before = dict(api.objects[NODE])
    drain.cordon(pods_root)
    assert drain.uncordon(pods_root)
    assert api.objects[NODE] == before
    assert not (pods_root / drain.MARK).exists()


def test_a_node_that_an_operator_has_cordoned_stays_so(pods_root: Path, api: ApiServer) -> None:
    api.objects[NODE]["spec"]["unschedulable"] = True
    drain.cordon(pods_root)
    assert not drain.uncordon(pods_root)
    assert api.objects[NODE]["spec"] == {"unschedulable": True}


def test_a_cut_before_the_request_leaves_the_mark(pods_root: Path, api: ApiServer) -> None:
    api.answers["PATCH", NODE] = (500, {})
    with pytest.raises(kube.KubeError):
        drain.cordon(pods_root)
    assert (pods_root / drain.MARK).exists()
    assert not drain.uncordon(pods_root)
    assert not (pods_root / drain.MARK).exists()


def test_undo_asks_nobody_where_nothing_was_done(pods_root: Path, api: ApiServer) -> None:
    drain.undo(pods_root)
    assert api.requests == []


@pytest.mark.parametrize(("value", "expected"), [("true", True), ("false", False), (None, False)])
def test_a_label_blocks_updates(pods_root: Path, api: ApiServer, value: str | None, expected: bool) -> None:
    api.objects[NODE]["metadata"]["labels"] = {} if value is None else {drain.BLOCK: value}
    assert drain.blocked(pods_root) is expected


def test_a_payload_without_pods_has_nothing_to_drain(node_root: Path, api: ApiServer) -> None:
    assert drain.drain(node_root) == []
    assert not drain.blocked(node_root)
    assert api.requests == []


def test_the_command_uncordons(pods_root: Path, api: ApiServer, capsys: pytest.CaptureFixture[str]) -> None:
    drain.cordon(pods_root)
    assert drain.main(["uncordon"], pods_root) == 0
    assert "may start" in capsys.readouterr().out
    assert drain.main([], pods_root) == 2


def test_the_command_asks_a_busy_server_again(pods_root: Path, api: ApiServer, clock: Clock) -> None:
    drain.cordon(pods_root)
    answers: Iterator[tuple[int, object]] = iter([(503, {}), (503, {})])
    api.answers["GET", NODE] = lambda body: next(answers, (200, api.objects[NODE]))
    assert drain.main(["uncordon"], pods_root, clock.sleep) == 0
    api.answers["GET", NODE] = (503, {})
    assert drain.main(["uncordon"], pods_root, clock.sleep) == 1
