from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tasks.lib.vm import accel
from tasks.lib.vm.accel import Acceleration

GUEST = """
import os, sys
words = sys.argv[1:]
print(os.environ.get("OUTPUT", ""), {output!r})
sys.exit({sector} if "isa-debug-exit,iobase=0x501,iosize=1" in words else {kernel})
"""


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(accel, "obstacle", lambda native: "")
    monkeypatch.setattr(accel, "boot_id", lambda: "this start")
    monkeypatch.setattr(accel, "PROBE_SECONDS", 2)
    return tmp_path


def fake_qemu(monkeypatch: pytest.MonkeyPatch, folder: Path, **answers: object) -> None:
    script = folder / "qemu.py"
    script.write_text(GUEST.format(**answers))
    monkeypatch.setattr("tasks.lib.vm.qemu.command", lambda: [sys.executable, str(script)])


def test_guest_that_boots(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    fake_qemu(monkeypatch, home, sector=33, kernel=0, output="VFS: Unable to mount root fs")
    verdict = accel.acceleration(home / "vmlinuz")
    assert verdict.name != "tcg"
    assert "host" in verdict.options()
    fake_qemu(monkeypatch, home, sector=1, kernel=1, output="")
    assert accel.acceleration(home / "vmlinuz") == verdict, "kept until the host restarts"
    monkeypatch.setattr(accel, "boot_id", lambda: "next start")
    assert accel.acceleration(home / "vmlinuz").name == "tcg"


@pytest.mark.parametrize(
    ("sector", "kernel", "output"),
    [(1, 0, "Unable to mount root fs"), (33, 1, "Unable to mount root fs"), (33, 0, "silence")],
)
def test_guest_that_does_not_boot(
    monkeypatch: pytest.MonkeyPatch, home: Path, sector: int, kernel: int, output: str
) -> None:
    fake_qemu(monkeypatch, home, sector=sector, kernel=kernel, output=output)
    verdict = accel.acceleration(home / "vmlinuz")
    assert verdict.name == "tcg"
    assert "opens, but" in verdict.reason


def test_guest_that_hangs_is_killed(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    script = home / "qemu.py"
    script.write_text("import time; time.sleep(60)")
    monkeypatch.setattr("tasks.lib.vm.qemu.command", lambda: [sys.executable, str(script)])
    assert accel.acceleration(home / "vmlinuz").name == "tcg"


def test_without_a_kernel_success_is_not_kept(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    fake_qemu(monkeypatch, home, sector=33, kernel=1, output="")
    assert accel.acceleration().name != "tcg"
    assert not accel.record().exists()


def test_obstacle_needs_no_probe(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    monkeypatch.setattr(accel, "obstacle", lambda native: "no such device")
    assert accel.acceleration() == Acceleration("tcg", "no such device")


def test_damaged_record_is_ignored(home: Path) -> None:
    accel.record().parent.mkdir(parents=True)
    for text in ("", "{", "[]", json.dumps({"boot_id": "this start", "speed": 1})):
        accel.record().write_text(text)
        assert accel.remembered() is None
