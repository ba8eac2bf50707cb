"""An update as it is lived through, and a bad one after it: stub payload, real GRUB, real HTTP server.

One machine goes through both with its disk's writes in a log: the power is cut at as many of them as are
asked for, a few here, and more than two hundred in the test marked long.
"""

from __future__ import annotations

import collections
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from agent.update.state import UNSETTLED
from dodo import STUB_NEXT
from tasks import update
from tasks.lib.vm.disks import copy_disk
from tasks.lib.vm.hardware import Hardware
from tasks.lib.vm.machine import Machine, free_port
from tests.powercut import verdict
from tests.powercut.writelog import Replay
from tests.vm import site as sites
from tests.vm.conftest import Start
from tests.vm.node import stretched, wait_booted, wait_milestones
from tests.vm.site import CONFIGURATION, SETTINGS, Site
from tests.vm.test_powercut import chance, moments
from tests.vm.test_slots import slot_of

BOOT_SECONDS = 90
MACHINE_SECONDS = 1800
FEW, MANY = 12, 240
BOOTED = 6
GRUB_SAYS = "Slot A is given up: trial-not-confirmed"

pytestmark = pytest.mark.timeout(MACHINE_SECONDS + 1800)


@dataclass
class Life:
    """What one node went through: its disk before it, the log of writes, answers by moment."""

    site: Site
    base: Path
    log: Path
    answers: dict[str, Any] = field(default_factory=dict)
    slots: list[str] = field(default_factory=list)
    console: str = ""


def confirmed(machine: Machine, begin: int = 0, timeout: float = BOOT_SECONDS) -> None:
    """The boot has reached its end, and the health gate has said so."""
    wait_booted(machine, timeout, begin)
    wait_milestones(machine, ("boot-confirmed",), 120)


def wait_phase(site: Site, machine: Machine, *phases: str) -> dict[str, Any]:
    """Until the record has one of these phases; the record."""
    site.key.wait(machine)
    deadline = time.monotonic() + stretched(90)
    while (record := site.ask(machine, "status"))["phase"] not in phases:
        assert time.monotonic() < deadline, record
        time.sleep(2)
    return record


def wait_idle(site: Site, machine: Machine) -> None:
    """Until the node has settled what was cut short."""
    deadline = time.monotonic() + stretched(60)
    while site.ask(machine, "status")["phase"] in UNSETTLED:
        assert time.monotonic() < deadline
        time.sleep(1)


@pytest.fixture(scope="module")
def life(start_shared: Start, stub_disk: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    folder = tmp_path_factory.mktemp("life")
    disk = copy_disk(stub_disk, folder / "disk.img")
    with sites.opened(disk, folder) as site:
        files = update.files(STUB_NEXT)
        site.bundle.add("0.2.0", files)
        found = Life(site, copy_disk(disk, folder / "base.img"), folder / "writes.log")
        machine = start_shared(replace(site.hardware(), data_log=found.log), MACHINE_SECONDS)
        confirmed(machine)
        found.slots.append(slot_of(machine))
        site.key.wait(machine)
        found.answers["check"] = site.ask(machine, "check")
        found.answers["apply"] = site.key.on(machine, "kubesolo-update apply").stdout
        found.answers["staged"] = site.ask(machine, "status")
        begin = machine.serial.position()
        found.answers["activate"] = site.ask(machine, "activate")
        confirmed(machine, begin, 2 * BOOT_SECONDS)
        found.slots.append(slot_of(machine))
        found.answers["updated"] = wait_phase(site, machine, "success")
        found.answers["again"] = site.ask(machine, "apply")

        initramfs = files["kubesolo-os.gz"].read_bytes()
        site.bundle.add("0.3.0", {**files, "kubesolo-os.gz": initramfs[: len(initramfs) // 2]})
        found.answers["bad apply"] = site.key.on(machine, "kubesolo-update apply --activate").stdout
        machine.serial.wait(GRUB_SAYS, stretched(6 * BOOT_SECONDS))
        confirmed(machine, machine.serial.position(), 2 * BOOT_SECONDS)
        found.slots.append(slot_of(machine))
        found.answers["rolled back"] = wait_phase(site, machine, "rolled_back")
        found.answers["refused"] = site.ask(machine, "apply")
        found.console = machine.serial.text()
        machine.host.ask("poweroff")
        machine.wait_end(stretched(120))
        yield found


def test_an_update_over_http_is_confirmed(life: Life) -> None:
    assert life.slots[:2] == ["A", "B"]
    assert life.answers["check"]["version"] == "0.2.0"
    assert "version 0.2.0 is in slot B" in life.answers["apply"]
    assert life.answers["staged"]["phase"] == "staged"
    assert life.answers["activate"]["rebooting"]
    assert life.answers["updated"]["to"] == "0.2.0"
    assert life.answers["again"]["status"] == 3, "nothing newer"


def test_less_than_a_sixth_is_fetched_when_only_the_system_has_changed(life: Life) -> None:
    (line,) = [text for text in life.answers["apply"].splitlines() if "MB were fetched" in text]
    print(line)
    fetched, _, total, *_ = line.split()
    assert float(fetched) < 0.15 * float(total)


def test_a_version_that_panics_is_given_up_and_refused(life: Life) -> None:
    assert life.slots[2] == "B"
    assert life.console.count("Kernel panic") == 3
    record = life.answers["rolled back"]
    assert "started three times and never confirmed" in record["refused"]["0.3.0"]
    assert life.answers["refused"]["status"] == 4
    assert "has failed on this node" in life.answers["refused"]["error"]
    assert [row["event"] for row in record["history"]] == ["activated", "success", "activated", "rolled back"]


@pytest.mark.parametrize("cuts", [FEW, pytest.param(MANY, marks=pytest.mark.long)])
def test_the_power_may_be_cut_at_any_write(life: Life, tmp_path: Path, cuts: int) -> None:
    replay = Replay(life.base, life.log, tmp_path / "durable")
    kept = {
        f"/{name}": (life.base.parent / f"file-{number}").read_bytes()
        for number, name in enumerate((CONFIGURATION, SETTINGS))
    }
    state = tmp_path / "state"
    seen: collections.Counter[tuple[str, ...]] = collections.Counter()
    for number in moments(replay, cuts, 0, life.log.stat().st_size):
        replay.cut(number, state, chance(number))
        found = verdict.judge(state, tmp_path, kept)
        seen[found.starts, found.versions[found.starts], found.phase or "none"] += 1
    print(f"tried {seen.total()}, survived {seen.total()}, lost 0")
    for row, count in sorted(seen.items()):
        print(f"{count:5} start slot {row[0]} with version {row[1]}, phase {row[2]}")
    assert len(seen) > 3, "cuts in all parts of it"


@pytest.mark.long
def test_what_a_cut_has_left_really_starts_and_takes_the_update(
    start: Start, life: Life, tmp_path: Path
) -> None:
    """Some of these states with real GRUB: the node starts by itself, and the next apply ends well."""
    replay = Replay(life.base, life.log, tmp_path / "durable")
    # The first half of the log: the good update.
    for turn, number in enumerate(moments(replay, 2 * BOOTED, 0, life.log.stat().st_size)[:BOOTED]):
        state = tmp_path / f"state-{turn}.img"
        replay.cut(number, state, chance(turn))
        hardware = Hardware(data=state, network="user", forwards={22: free_port()})
        machine = start(hardware, MACHINE_SECONDS)
        confirmed(machine)
        life.site.key.wait(machine)
        if slot_of(machine) == "A":
            # What was cut short is settled first, by the node itself.
            wait_idle(life.site, machine)
            done = life.site.key.on(machine, "kubesolo-update apply --force").stdout
            assert "is in slot B" in done, done
        machine.host.ask("poweroff")
        machine.wait_end(stretched(90))
