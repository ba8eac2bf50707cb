"""The real payload through a good update and a bad one: nginx and its data are there after both."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dodo import NEXT
from tasks import update
from tasks.lib.vm.disks import copy_disk
from tasks.lib.vm.kube import Cluster
from tasks.lib.vm.machine import Machine
from tests.updates import broken
from tests.vm import site as sites
from tests.vm import web
from tests.vm.conftest import Start
from tests.vm.node import API, READY, READY_SECONDS, connect, stretched, wait_booted, wait_milestones
from tests.vm.site import Site
from tests.vm.test_slots import slot_of
from tests.vm.workload import ask_node_port, deploy, wait_available

BOOT_SECONDS = 90
APPLY_SECONDS = 300
# Of a version that is well, however busy the host is; and of one that never will be.
PATIENT_SECONDS, SHORT_SECONDS = 1200, 150
MACHINE_SECONDS = 3000
WORDS = "this version does not work"
RESTART = "reboot: Restarting system"
SETTINGS = "/api/v1/namespaces/default/configmaps/settings"

pytestmark = [pytest.mark.timeout(MACHINE_SECONDS + 60), pytest.mark.long]


def ready(machine: Machine, begin: int = 0, timeout: float = BOOT_SECONDS) -> None:
    """The node is Ready, and the gate has confirmed it."""
    wait_booted(machine, timeout, begin)
    wait_milestones(machine, (*READY, "boot-confirmed"), READY_SECONDS)


def serves(machine: Machine, cluster: Cluster) -> None:
    """nginx answers from outside, and what was written is still there."""
    wait_available(cluster)
    cluster.retry(lambda: ask_node_port(machine), lambda text: web.PAGE in text, 90, "nginx answers")
    assert cluster.get(SETTINGS)["data"] == {"kept": "yes"}


def told(cluster: Cluster, reason: str) -> str:
    """The message of an event that the updater tells Kubernetes, once the node is well."""

    def message() -> str:
        found = cluster.get("/api/v1/namespaces/default/events")["items"]
        return next((row["message"] for row in found if row["reason"] == reason), "")

    return cluster.retry(message, bool, 120, f"event {reason}")


def go(site: Site, machine: Machine) -> int:
    """Take what is offered and start it; returns where the serial log goes on."""
    site.key.wait(machine)
    print(site.key.on(machine, "kubesolo-update apply", APPLY_SECONDS).stdout)
    begin = machine.serial.position()
    answer = site.ask(machine, "activate", APPLY_SECONDS)
    assert answer["ok"], answer
    return begin


def test_nginx_outlives_an_update_and_a_rollback(
    start: Start, disk_image: Path, nginx_archive: Path, tmp_path: Path
) -> None:
    image = copy_disk(disk_image, tmp_path / "disk.img")
    os.truncate(image, 8 << 30)
    more = f"auto-rollback-after={PATIENT_SECONDS}\n"
    with sites.opened(image, tmp_path, more, {f"images/{nginx_archive.name}": nginx_archive}) as site:
        site.forwards = {API: 0, web.NODE_PORT: 0}
        site.bundle.add("0.2.0", update.files(NEXT))
        machine = start(site.hardware(), MACHINE_SECONDS)
        ready(machine)
        cluster = connect(machine)
        deploy(cluster)
        cluster.apply(
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": "settings"},
                "data": {"kept": "yes"},
            }
        )
        serves(machine, cluster)
        cluster.close()

        begin = go(site, machine)
        ready(machine, begin, 3 * BOOT_SECONDS)
        assert slot_of(machine) == "B"
        cluster = connect(machine)
        serves(machine, cluster)
        site.key.wait(machine)
        cluster.retry(
            lambda: site.ask(machine, "status")["phase"], "success".__eq__, 60, "the update is settled"
        )
        assert "0.1.0 to 0.2.0 has succeeded" in told(cluster, "UpdateSucceeded")
        cluster.close()

        change = f"sed -i s/={PATIENT_SECONDS}/={SHORT_SECONDS}/ /etc/kubesolo/update.conf"
        assert not site.key.on(machine, change).returncode
        # It has changed the database before it fails: what the version before could not read.
        script = f"#!/bin/sh\necho a newer format >/var/lib/kubesolo/db/state.db\necho {WORDS}\nexit 1\n"
        files = broken.with_payload(update.files(NEXT), NEXT, "0.3.0", script, tmp_path / "broken")
        site.bundle.add("0.3.0", files)
        machine.wait_marker(stretched(3 * BOOT_SECONDS), go(site, machine))
        begin = machine.serial.position()
        machine.serial.wait(RESTART, stretched(SHORT_SECONDS + BOOT_SECONDS), begin)
        ready(machine, machine.serial.position())
        assert slot_of(machine) == "B", "the version before it"
        cluster = connect(machine)
        serves(machine, cluster)
        site.key.wait(machine)
        cluster.retry(lambda: site.ask(machine, "status")["phase"], "rolled_back".__eq__, 60, "it is settled")
        status = site.ask(machine, "status")
        assert "Kubernetes ended" in status["refused"]["0.3.0"], status
        assert any(WORDS in line for line in status["last_log"]), status
        assert "version 0.3.0 was given up" in told(cluster, "UpdateRolledBack")
        offered = site.ask(machine, "check")
        assert "has failed on this node" in offered["error"]
        (found,) = cluster.get("/api/v1/nodes")["items"]
        assert not found["spec"].get("unschedulable")
        cluster.close()
        machine.host.ask("poweroff")
        machine.wait_end(stretched(120))
