"""What is told of updates: the names of the specification, values that fit the format."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agent.update import metrics
from tests.unit.update.prometheus import parse


def test_exactly_one_phase_is_on() -> None:
    found = parse(metrics.render({"phase": "staged", "to": "0.2.0", "attempts": 3}))
    phases = {key: value for key, value in found.items() if key.startswith("kubesolo_update_phase")}
    assert len(phases) == 9
    assert [key for key, value in phases.items() if value] == ['kubesolo_update_phase{phase="staged"}']
    assert found["kubesolo_update_attempts_total"] == 3
    assert found["kubesolo_os_update_available"] == 1


@pytest.mark.parametrize(
    ("state", "available"),
    [
        ({}, 0),
        ({"phase": "success", "to": "0.2.0"}, 0),
        ({"phase": "idle", "available": "0.2.0"}, 1),
        ({"phase": "idle", "available": ""}, 0),
    ],
)
def test_whether_a_newer_version_is_known(state: dict[str, object], available: int) -> None:
    assert parse(metrics.render(state))["kubesolo_os_update_available"] == available


def test_the_reason_of_a_refusal_is_one_escaped_line() -> None:
    text = metrics.render({"refused": {"0.2.0": 'pod "a\\b"\nis Pending ' + "x" * 500}})
    (key,) = (key for key in parse(text) if key.startswith("kubesolo_update_refused"))
    assert key.startswith(r'kubesolo_update_refused{version="0.2.0",reason="pod \"a\\b\" is Pending xxx')


@pytest.mark.parametrize("state", [{"attempts": "x", "refused": [], "phase": None}, {"attempts": -1}])
def test_a_damaged_state_is_still_text_of_the_format(state: dict[str, object]) -> None:
    assert parse(metrics.render(state))["kubesolo_update_attempts_total"] == 0


def test_it_is_written_for_now_and_for_the_next_boot(tmp_path: Path) -> None:
    metrics.write(tmp_path, {"phase": "success"})
    assert (tmp_path / metrics.NOW).read_text() == (tmp_path / metrics.KEPT).read_text()
    assert not list(tmp_path.rglob("*.new"))


def test_a_disk_that_takes_nothing_is_no_reason_to_fail(tmp_path: Path) -> None:
    (tmp_path / "mnt").write_text("")
    metrics.write(tmp_path, {"phase": "success"})
    assert (tmp_path / metrics.NOW).exists()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], [metrics.PROGRAM, "--print"]),
        (["--listen", ":9100"], ["nc", "-ll", "-p", "9100", "-e", metrics.PROGRAM]),
        (["--listen", "127.0.0.1:9"], ["nc", "-ll", "-s", "127.0.0.1", "-p", "9", "-e", metrics.PROGRAM]),
    ],
)
def test_the_command_becomes_the_service(
    words: list[str], expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Replaced(Exception):  # noqa: N818
        pass

    def execv(path: str, arguments: list[str]) -> None:
        raise Replaced(arguments)

    monkeypatch.setattr(os, "execv", execv)
    with pytest.raises(Replaced) as caught:
        metrics.main(words)
    assert caught.value.args == (expected,)


@pytest.mark.parametrize("words", [["--listen"], ["--listen", "9100"], ["--listen", ":0"], ["--port", ":1"]])
def test_wrong_usage(words: list[str]) -> None:
    assert metrics.main(words) == 2
