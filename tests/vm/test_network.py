"""A node needs no network: neither a card nor an answer on it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest

from tasks.lib.vm.disks import write_data_disk
from tasks.lib.vm.hardware import Hardware
from tests.vm.conftest import Start
from tests.vm.node import READY, READY_SECONDS, stretched, wait_booted, wait_milestones

BOOT_SECONDS = 60
MACHINE_SECONDS = 900


@pytest.mark.timeout(MACHINE_SECONDS)
@pytest.mark.parametrize("network", ["none", pytest.param("silent", marks=pytest.mark.long)])
def test_node_becomes_ready_without(
    start: Start, iso: Path, tmp_path: Path, network: Literal["none", "silent"]
) -> None:
    disk = tmp_path / "data.img"
    write_data_disk(disk, 1024)
    machine = start(Hardware(cdrom=iso, data=disk, network=network), MACHINE_SECONDS)
    passed = wait_booted(machine, BOOT_SECONDS)
    assert passed["stage-90-kubesolo"] < stretched(30), "the boot does not wait for a lease"
    assert wait_milestones(machine, READY, READY_SECONDS)["node-ready"] < stretched(120)
