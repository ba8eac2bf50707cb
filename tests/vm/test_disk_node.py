"""The real payload: from the ISO by way of the installer to a node that starts from its disk."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tasks.lib.boot.menu import DATA, SERIAL_LAST
from tasks.lib.debian import tools
from tasks.lib.process import run
from tasks.lib.vm.hardware import Hardware
from tasks.lib.vm.media import boot_files
from tests.powercut.slotdisk import DATA_OFFSET
from tests.vm import web
from tests.vm.conftest import Picture, Start
from tests.vm.node import API, READY, READY_SECONDS, connect, stretched, wait_booted, wait_milestones
from tests.vm.workload import ask_node_port, deploy, wait_available

BOOT_SECONDS = 90
INSTALL_SECONDS = 300
MACHINE_SECONDS = 1800

pytestmark = [pytest.mark.timeout(3 * MACHINE_SECONDS), pytest.mark.long]


def test_an_installed_node_becomes_ready_and_keeps_its_workload(
    start: Start, picture: Picture, iso: Path, nginx_archive: Path, tmp_path: Path
) -> None:
    disk = tmp_path / "disk.img"
    disk.touch()
    os.truncate(disk, 8 << 30)
    files = boot_files(iso, tmp_path / "boot")
    append = f"{DATA} {SERIAL_LAST} kubesolo.install=auto kubesolo.install-end=poweroff"
    machine = start(
        Hardware(cdrom=iso, kernel=files.kernel, initrd=files.initrd, append=append, data=disk),
        MACHINE_SECONDS,
    )
    machine.wait_end(stretched(INSTALL_SECONDS))
    for request in ("mkdir images", f"write {nginx_archive} images/{nginx_archive.name}"):
        run([*tools.command("debugfs"), "-w", "-R", request, f"{disk}?offset={DATA_OFFSET}"])
    hardware = Hardware(data=disk, forwards={API: 0, web.NODE_PORT: 0})
    names = (*READY, "boot-confirmed")
    node = start(hardware, MACHINE_SECONDS)
    node.serial.wait("other ways to start", stretched(BOOT_SECONDS))
    time.sleep(1)  # the screen comes after the serial line
    picture(node, "disk-menu")
    wait_booted(node, BOOT_SECONDS)
    wait_milestones(node, names, READY_SECONDS)
    node.serial.wait("s: Ready", stretched(60))
    node.type_text("\n")  # a key draws it anew
    time.sleep(2)
    picture(node, "status-screen")
    print(node.host.ask("milestones"), node.host.memory().used // 1024, "MiB in use, all")
    client = connect(node)
    deploy(client)
    client.retry(lambda: ask_node_port(node), lambda text: web.PAGE in text, 60, "nginx answers")
    before = client.get("/api/v1/namespaces/default/services/web")["metadata"]["uid"]
    client.close()
    node.host.ask("poweroff")
    node.wait_end(stretched(90))
    again = start(hardware, MACHINE_SECONDS)
    wait_booted(again, BOOT_SECONDS)
    wait_milestones(again, names, READY_SECONDS)
    print(again.host.ask("milestones"), again.host.memory().used // 1024, "MiB in use, all")
    client = connect(again)
    assert client.get("/api/v1/namespaces/default/services/web")["metadata"]["uid"] == before
    wait_available(client)
    client.retry(lambda: ask_node_port(again), lambda text: web.PAGE in text, 60, "nginx answers again")
    client.close()
