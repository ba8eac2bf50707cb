"""What a node with the real payload does around an update: gate, metrics, jobs, pods, database."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from dodo import PRODUCTS
from tasks.lib.debian import tools
from tasks.lib.paths import TOP
from tasks.lib.process import run
from tasks.lib.release.product import named
from tasks.lib.vm.disks import copy_disk
from tasks.lib.vm.hardware import LOOPBACK, Hardware
from tasks.lib.vm.kube import Cluster, condition
from tasks.lib.vm.machine import Machine
from tests.powercut.slotdisk import DATA_OFFSET
from tests.unit.update.prometheus import parse
from tests.vm.conftest import Start, product
from tests.vm.node import API, READY, READY_SECONDS, connect, stretched, wait_booted, wait_milestones
from tests.vm.test_slots import Disk, switch_off

BOOT_SECONDS = 90
MACHINE_SECONDS = 1800
METRICS = 9100
TRIAL = {"active_slot": "A", "boot_counter": "3", "boot_success": "0"}
JOB = TOP / "docs/examples/kubernetes/update-now.yaml"
JOBS = "/apis/batch/v1/namespaces/kube-system/jobs"
PODS = "/api/v1/namespaces/kube-system/pods"
NAMES = (*READY, "boot-confirmed")
# Drains the node and lets it be again, as the updater does.
DRAIN = (
    "from pathlib import Path; from agent.update import drain; root = Path('/'); print(drain.drain(root)); "
    "from agent.update import kube; node = kube.connect(root).get(kube.node_path(root)); "
    "print('cordoned', node['spec'].get('unschedulable'), drain.uncordon(root)); "
    "from agent.update import health; print(health.check(root, {})); "
    "from agent.update import events; events.tell(root, events.REFUSED, 'a test')"
)

pytestmark = [pytest.mark.timeout(3 * MACHINE_SECONDS), pytest.mark.long]


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    """The product with the real payload."""
    image = named(PRODUCTS, "disk-image")
    return Disk(copy_disk(product(image.path, image.task), tmp_path / "disk.img"))


def data(disk: Disk, *requests_: str) -> str:
    """Change or show what is on the data partition of a machine that is off (debugfs(8))."""
    answers = [
        run([*tools.command("debugfs"), "-w", "-R", words, f"{disk.path}?offset={DATA_OFFSET}"]).stdout
        for words in requests_
    ]
    return b"".join(answers).decode()


def ready(start: Start, disk: Disk) -> tuple[Machine, Cluster]:
    node = start(Hardware(data=disk.path, forwards={API: 0, METRICS: 0}), MACHINE_SECONDS)
    wait_booted(node, BOOT_SECONDS)
    found = wait_milestones(node, NAMES, READY_SECONDS)
    print({name: found[name] for name in NAMES}, node.host.memory().used // 1024, "MiB in use")
    return node, connect(node)


def job(cluster: Cluster, *words: str) -> str:
    """Run the published job with another program; returns its log."""
    wanted: dict[str, Any] = yaml.safe_load(JOB.read_text())
    (container,) = wanted["spec"]["template"]["spec"]["containers"]
    container["command"][3] = container["command"][3].replace("/usr/bin/kubesolo-update", words[0])
    container["args"] = list(words[1:])
    kind = {"Content-Type": "application/json"}
    made = cluster.request("POST", JOBS, data=json.dumps(wanted), headers=kind).json()["metadata"]["name"]
    ended = cluster.wait(
        f"{JOBS}/{made}",
        lambda job: condition(job, "Complete") or condition(job, "Failed"),
        180,
        "the job ends",
    )
    (pod,) = cluster.get(PODS, labelSelector=f"job-name={made}")["items"]
    log = cluster.logs(pod["metadata"]["name"], "kube-system")
    assert condition(ended, "Complete"), log
    return log


def test_what_a_node_does_around_an_update(start: Start, disk: Disk, tmp_path: Path) -> None:
    disk.environment(TRIAL)
    node, cluster = ready(start, disk)
    check_metrics(node)
    check_jobs(cluster)
    switch_off(node)
    assert disk.state()["boot_success"] == "1"

    version = data(disk, "cat kubesolo/.version").strip()
    older = tmp_path / "version"
    older.write_text("0.0.1\n")
    data(disk, "rm kubesolo/.version", f"write {older} kubesolo/.version")
    disk.environment(TRIAL)
    node, cluster = ready(start, disk)
    marker = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "after-the-snapshot"}}
    cluster.apply(marker)
    switch_off(node)
    snapshot = "update/snapshots/0.0.1"
    assert data(disk, f"cat {snapshot}/about").startswith(f"{version} ")
    for name in ("state.db", "state.db-wal"):
        data(disk, f"dump {snapshot}/db/{name} {tmp_path / name}")
    with sqlite3.connect(tmp_path / "state.db") as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert database.execute("SELECT count(*) FROM kine").fetchone()[0] > 100

    # As if it had been another version that ran in between, and was never confirmed.
    newer = tmp_path / "version"
    newer.write_text("99.0.0\n")
    data(disk, f"rm {snapshot}/confirmed", "rm kubesolo/.version", f"write {newer} kubesolo/.version")
    data(disk, f"ln {snapshot} update/snapshots/{version}", f"unlink {snapshot}")
    node, cluster = ready(start, disk)
    assert "everything written to the cluster since then is lost" in node.host.ask("log")
    names = [
        item["metadata"]["name"] for item in cluster.get("/api/v1/namespaces/default/configmaps")["items"]
    ]
    assert "after-the-snapshot" not in names
    switch_off(node)
    assert data(disk, "cat kubesolo/.version").strip() == version
    assert "db.99.0.0" in data(disk, "ls kubesolo")


def check_metrics(node: Machine) -> None:
    with requests.Session() as session:
        session.trust_env = False
        text = session.get(f"http://{LOOPBACK}:{node.port(METRICS)}/metrics", timeout=stretched(10)).text
    found = parse(text)
    print(text)
    assert found["kubesolo_os_boot_success"] == 1
    assert found["kubesolo_os_boot_counter"] == 3
    assert any('slot="A"' in key for key in found)
    assert found["kubesolo_os_memory_available_bytes"] > 1 << 20


def check_jobs(cluster: Cluster) -> None:
    """A job on the node needs no image that is not there, and may drain the node that it runs on."""
    assert "Ready" in job(cluster, "/usr/bin/kubesolo-os", "status")
    log = job(cluster, "/usr/bin/python3", "-I", "-S", "-c", DRAIN)
    print(log)
    assert "cordoned True True" in log
    events = cluster.get("/api/v1/namespaces/default/events")["items"]
    assert any(event["reason"] == "UpdateRefused" for event in events)
    cluster.wait(
        "/apis/apps/v1/namespaces/kube-system/deployments/coredns",
        lambda found: found.get("status", {}).get("readyReplicas") == 1,
        120,
        "cluster DNS is back",
    )
