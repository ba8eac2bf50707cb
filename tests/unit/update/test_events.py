"""What the updater tells Kubernetes: once, and later where it can not be told now."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agent.update import events, kube
from tests.unit.update.apiserver import ApiServer

PATH = "/api/v1/namespaces/default/events"


def sent(api: ApiServer) -> list[dict[str, Any]]:
    """The events that the server has taken."""
    return [body for method, path, body in api.requests if (method, path) == ("POST", PATH)]


def refuse(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    """A server that answers so."""

    def answer(root: Path, event: dict[str, Any]) -> None:
        raise kube.KubeError("no", code)

    monkeypatch.setattr(events, "post", answer)


def test_an_event_is_the_node_s_and_fits(pods_root: Path, api: ApiServer) -> None:
    events.tell(pods_root, "UpdateRolledBack", "ü" * 2000)
    (body,) = sent(api)
    assert body["involvedObject"]["name"] == body["involvedObject"]["uid"] == "node-1"
    assert (body["reason"], body["type"]) == ("UpdateRolledBack", "Warning")
    assert body["message"] == "ü" * 512
    assert not (pods_root / events.UNTOLD).exists()


def test_a_payload_without_pods_is_told_nothing(node_root: Path, api: ApiServer) -> None:
    events.tell(node_root, "UpdateSucceeded", "x")
    assert api.requests == []
    assert not (node_root / events.UNTOLD).exists()


def test_what_nobody_takes_is_told_later(
    pods_root: Path, api: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as away:
        refuse(away, 0)
        events.tell(pods_root, "UpdateRolledBack", "version 2 was given up")
        events.tell_again(pods_root)
    assert (pods_root / events.UNTOLD).exists()
    events.tell_again(pods_root)
    events.tell_again(pods_root)
    (body,) = sent(api)
    assert body["message"] == "version 2 was given up"


@pytest.mark.parametrize("content", ['{"metadata": {}}', '{"meta', ""])
def test_what_no_server_will_ever_take_is_not_kept(
    pods_root: Path, api: ApiServer, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    refuse(monkeypatch, 422)
    path = pods_root / events.UNTOLD
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    events.tell_again(pods_root)
    assert not path.exists()


def test_a_later_event_takes_the_place_of_one_that_waits(
    pods_root: Path, api: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as away:
        refuse(away, 503)
        events.tell(pods_root, "UpdateRolledBack", "first")
        events.tell(pods_root, "UpdateRefused", "second")
    assert json.loads((pods_root / events.UNTOLD).read_text())["message"] == "second"
    events.tell(pods_root, "UpdateSucceeded", "third")
    events.tell_again(pods_root)
    assert [body["message"] for body in sent(api)] == ["third"]
