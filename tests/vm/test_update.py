"""An update as it is lived through: stub payload, real GRUB, real HTTP server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dodo import STUB_NEXT
from tasks import update
from tasks.lib.debian import tools
from tasks.lib.process import run
from tasks.lib.vm.disks import copy_disk
from tasks.lib.vm.hardware import Hardware
from tasks.lib.vm.machine import Machine
from tests.updates import bundle, servers
from tests.updates.bundle import Bundle
from tests.vm.conftest import Start
from tests.vm.node import wait_booted, wait_milestones
from tests.vm.shell import Key
from tests.vm.test_slots import slot_of

BOOT_SECONDS = 90
MACHINE_SECONDS = 900
DATA_OFFSET = 2625536 * 512
HOST = "10.0.2.2"

pytestmark = pytest.mark.timeout(MACHINE_SECONDS + 60)


def write_data(disk: Path, files: dict[str, str], scratch: Path) -> None:
    """Files on the data partition of a disk that has never been started."""
    place = f"{disk}?offset={DATA_OFFSET}"
    folders = sorted({str(parent) for name in files for parent in Path(name).parents} - {"."})
    for folder in folders:
        run([*tools.command("debugfs"), "-w", "-R", f"mkdir /{folder}", place])
    for name, text in files.items():
        source = scratch / "file"
        source.write_text(text)
        run([*tools.command("debugfs"), "-w", "-R", f"write {source} /{name}", place])


@dataclass
class Site:
    """A node's disk, its key, and the server of its updates."""

    disk: Path
    key: Key
    bundle: Bundle
    port: int

    def hardware(self) -> Hardware:
        return Hardware(data=self.disk, network="user", forwards={22: servers.free_port()})

    def ask(self, machine: Machine, command: str) -> dict[str, Any]:
        """An answer in JSON, whatever the exit status."""
        done = self.key.on(machine, f"kubesolo-update {command} --json")
        try:
            return dict(json.loads(done.stdout[done.stdout.index("{") :]))
        except ValueError:
            raise AssertionError(f"{command}: status {done.returncode}: {done.stdout}") from None


@pytest.fixture
def site(stub_disk: Path, tmp_path: Path) -> Iterator[Site]:
    disk = copy_disk(stub_disk, tmp_path / "disk.img")
    key = Key.make(tmp_path)
    made = Bundle(tmp_path / "served")
    made.add("0.2.0", update.files(STUB_NEXT))
    with servers.httpd(made.top) as port:
        settings = f"server=http://{HOST}:{port}\npubkey={bundle.public()}\n"
        files = {
            "etc-kubesolo/cloud-init.yaml": f"#cloud-config\n{key.configuration()}",
            "etc-kubesolo/update.conf": settings,
        }
        write_data(disk, files, tmp_path)
        yield Site(disk, key, made, port)


def confirmed(machine: Machine, begin: int = 0) -> None:
    """The boot has reached its end, and the health gate has said so."""
    wait_booted(machine, BOOT_SECONDS, begin)
    wait_milestones(machine, ("boot-confirmed",), 90)


def test_an_update_over_http_is_confirmed(start: Start, site: Site) -> None:
    machine = start(site.hardware(), MACHINE_SECONDS)
    confirmed(machine)
    site.key.wait(machine)
    assert slot_of(machine) == "A"
    offered = site.ask(machine, "check")
    assert offered["version"] == "0.2.0", offered
    print(site.key.on(machine, "time kubesolo-update apply").stdout)
    assert site.ask(machine, "status")["phase"] == "staged"
    begin = len(machine.serial.text())
    answer = site.ask(machine, "activate")
    assert answer["ok"], answer
    confirmed(machine, begin)
    site.key.wait(machine)
    assert slot_of(machine) == "B"
    status = site.ask(machine, "status")
    assert status["phase"] == "success", status
