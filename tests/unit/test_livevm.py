"""What live-vm starts, without starting it."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from tasks.lib.debian import tools
from tasks.lib.errors import BuildError
from tasks.lib.process import run
from tasks.lib.vm import livevm
from tasks.lib.vm.accel import EMULATION
from tasks.lib.vm.livevm import Setup

SETUP = Setup(Path("live.iso"), 2048, 4, 64)


def options(number: int, *, wired: bool) -> str:
    described = livevm.hardware(SETUP, Path("/f"), number, Path("seed.iso"), 2222, wired=wired)
    return " ".join(described.options())


def test_a_machine_has_the_medium_the_seed_a_disk_and_a_port() -> None:
    words = options(1, wired=False)
    assert "file=live.iso,media=cdrom,readonly=on" in words
    assert "file=seed.iso,media=cdrom,readonly=on" in words
    assert "format=qcow2,file=/f/var.qcow2,cache=writeback" in words
    assert "hostfwd=tcp:127.0.0.1:2222-:22" in words
    assert "-m 2048" in words
    assert "-smp 4" in words
    assert "restrict" not in words
    assert "dgram" not in words


def test_two_machines_share_a_wire_and_nothing_else() -> None:
    first, second = options(1, wired=True), options(2, wired=True)
    assert "local.path=/f/wire-1.socket,remote.type=unix,remote.path=/f/wire-2.socket" in first
    assert "local.path=/f/wire-2.socket,remote.type=unix,remote.path=/f/wire-1.socket" in second
    assert livevm.MAC.format(1) in first
    assert livevm.MAC.format(2) in second
    assert "/f/var-2.qcow2" in second


def test_a_disk_is_made_once_and_forgotten_on_request(tmp_path: Path) -> None:
    disk = livevm.disk(tmp_path, 1)
    livevm.keep_disk(disk, 64)
    about = run([*tools.command("qemu-img", set="qemu"), "info", "--output=json", disk]).stdout
    assert json.loads(about)["virtual-size"] == 64 << 20
    disk.write_bytes(b"mine")
    livevm.keep_disk(disk, 64)
    assert disk.read_bytes() == b"mine"
    livevm.token(tmp_path).write_text("secret")
    livevm.forget(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_machines_on_the_same_disks_are_refused(tmp_path: Path) -> None:
    assert livevm.running(tmp_path) == 0
    with livevm.recorded(tmp_path):
        assert livevm.running(tmp_path) == os.getpid()
        with pytest.raises(BuildError, match="runs already"):
            livevm.run_machines(SETUP, [Path("seed.iso")], EMULATION, tmp_path)
    assert livevm.running(tmp_path) == 0
    (tmp_path / "machine.json").write_text("torn")
    assert livevm.running(tmp_path) == 0


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--nodes", "3"], "--nodes is 1 or 2"),
        (["--seed", "x.iso", "--nodes", "2"], "--seed says all"),
        (["--iso", "missing.iso"], "missing.iso: no such file"),
    ],
)
def test_options_that_do_not_go_together_are_refused(words: list[str], complaint: str) -> None:
    with pytest.raises(BuildError, match=complaint):
        run([sys.executable, "-m", "tasks", "live-vm", *words])
