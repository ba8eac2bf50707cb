"""What a failing VM test keeps of its machine."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tasks.lib.errors import BuildError
from tasks.lib.vm.hostport import NotYetError
from tests.vm import evidence


class Guest:
    """Answers some questions, refuses others."""

    def __init__(self, answers: dict[str, str | Exception]) -> None:
        self.answers = answers
        self.asked: list[str] = []

    def ask(self, command: str, timeout: float) -> str:
        self.asked.append(command)
        answer = self.answers.get(command, NotYetError("unknown command"))
        if isinstance(answer, Exception):
            raise answer
        return answer


def machine(tmp_path: Path, guest: Guest, **more: object) -> Any:  # noqa: ANN401 (a stand-in)
    hardware = SimpleNamespace(forwards={})
    return SimpleNamespace(folder=tmp_path, host=guest, hardware=hardware, running=lambda: True, **more)


def test_every_answer_is_kept_and_its_end_shown(tmp_path: Path) -> None:
    log = "".join(f"line {number}\n" for number in range(200))
    guest = Guest({"ping": "pong\n", "log": log, "rules": "table ip kube-proxy\n"})
    shown = {Path(title).name: text for title, text in evidence.keep(machine(tmp_path, guest))}
    assert (tmp_path / "guest.log").read_text() == log
    assert shown["guest.log"].splitlines()[-1] == "line 199"
    assert len(shown["guest.log"].splitlines()) == evidence.SHOWN_LINES
    assert shown["rules.nft"] == "table ip kube-proxy"
    assert "no answer" in shown["payload.log"], "an older guest does not know the question"


def test_dead_guest_is_asked_once(tmp_path: Path) -> None:
    guest = Guest({"ping": BuildError("no answer within 20 s")})
    ((title, text),) = evidence.keep(machine(tmp_path, guest))
    assert guest.asked == ["ping"]
    assert "does not answer" in text
    assert title.endswith("guest.log")


def test_objects_are_shown_in_one_line_each() -> None:
    text = (
        '{"items": [{"metadata": {"name": "web", "namespace": "default"}, "status": {"phase": "Pending"}}]}'
    )
    assert evidence.shorten("pods.json", text) == 'default/web {"status": {"phase": "Pending"}}'
