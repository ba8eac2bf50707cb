"""One node from the ISO as a CD under BIOS, default entry, empty data disk but for an image archive.

The tests run in this order on one machine, as a boot costs the best part of a minute under emulation.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from tasks.lib.vm.hardware import Hardware
from tasks.lib.vm.kube import Cluster, Object, condition
from tasks.lib.vm.machine import Machine
from tests.vm import web
from tests.vm.conftest import Start
from tests.vm.killer import killer
from tests.vm.node import (
    API,
    HANDOVER,
    READY,
    READY_SECONDS,
    connect,
    fetch_kubeconfig,
    marker_seen,
    stretched,
    wait_booted,
    wait_milestones,
    wait_port,
)
from tests.vm.workload import (
    POD_SECONDS,
    ask_node_port,
    data_disk,
    deploy,
    run_script,
    wait_available,
    wait_ended,
)

DISK_MIB = 2048
MACHINE_SECONDS = 1800
BOOT_SECONDS = 60
# All less than the 20 s that there are, more than the second that what is left gets at the end. What ends
# early is over while others still have their time: it must not be started again.
TIDY_SECONDS = {"tidy": 3, "slow": 12}
READ_ONLY = "Read-only file system"
TOKEN = "a-token-of-the-hypervisor"

pytestmark = pytest.mark.timeout(MACHINE_SECONDS)


@pytest.fixture(scope="module")
def machine(
    start_shared: Start, iso: Path, nginx_archive: Path, tmp_path_factory: pytest.TempPathFactory
) -> Machine:
    disk = data_disk(tmp_path_factory.mktemp("node"), DISK_MIB, nginx_archive)
    hardware = Hardware(
        cdrom=iso,
        data=disk,
        forwards={API: 0, HANDOVER: 0, web.NODE_PORT: 0},
        firmware_files={"opt/os.kubesolo/kubeconfig-token": TOKEN},
    )
    return start_shared(hardware, MACHINE_SECONDS)


@pytest.fixture(scope="module")
def deployed(cluster: Cluster) -> Cluster:
    """The node with nginx running behind its Service."""
    deploy(cluster)
    return cluster


def pod_path(name: str) -> str:
    return f"/api/v1/namespaces/default/pods/{name}"


def node_of(cluster: Cluster) -> Object:
    nodes: list[Object] = cluster.get("/api/v1/nodes")["items"]
    assert len(nodes) == 1
    return nodes[0]


def test_bios_boot_reaches_the_last_stage(machine: Machine) -> None:
    passed = wait_booted(machine, BOOT_SECONDS)
    assert marker_seen(machine)
    stages = [name for name in passed if name.startswith("stage-")]
    assert stages == sorted(stages), "stages run in the order of their numbers"
    assert passed["stage-90-kubesolo"] < stretched(30)


def test_node_is_ready(cluster: Cluster) -> None:
    assert condition(node_of(cluster), "Ready")
    assert cluster.text("/readyz") == "ok"


def test_kubeconfig_is_handed_over_once_for_the_hypervisor_s_token(
    machine: Machine, cluster: Cluster
) -> None:
    wait_port(machine, HANDOVER, 90)
    assert TOKEN not in machine.serial.text()
    status, text = fetch_kubeconfig(machine, TOKEN)
    assert status == 200
    client = Cluster(text, machine.port(API))
    assert client.text("/readyz") == "ok"
    client.close()


def test_cluster_dns_runs(cluster: Cluster) -> None:
    pods = cluster.get("/api/v1/namespaces/kube-system/pods")["items"]
    assert pods
    assert {pod["status"]["phase"] for pod in pods} == {"Running"}
    assert all(condition(pod, "Ready") for pod in pods), "the milestone is not passed before"


def test_pods_that_ask_for_nothing_are_confined(cluster: Cluster) -> None:
    """RuntimeDefault: the kernel filters system calls (Seccomp 2 in proc(5)); privileged pods are free."""
    script = "while read -r name value; do [ $name != Seccomp: ] || echo $value; done </proc/self/status"
    assert run_script(cluster, "confined", script) == "2\n"
    assert run_script(cluster, "free", script, privileged=True) == "0\n"


def test_root_refuses_writes(machine: Machine, cluster: Cluster) -> None:
    answers = dict(line.split(" ", 1) for line in machine.host.ask("writable").splitlines())
    assert set(answers) >= {"/", "/usr", "/bin", "/sbin", "/lib"}
    assert set(answers.values()) == {READ_ONLY}


def test_state_is_on_the_data_disk(machine: Machine, cluster: Cluster) -> None:
    mounts = {line.split()[1]: line.split()[2] for line in machine.host.ask("mounts").splitlines()}
    for point in ("/mnt/data", "/var/lib/kubesolo", "/var/lib/containerd", "/etc/kubesolo", "/var/log"):
        assert mounts[point] == "ext4", point


def test_nginx_answers_through_its_service(machine: Machine, deployed: Cluster) -> None:
    page = deployed.retry(
        lambda: ask_node_port(machine), lambda text: web.PAGE in text, 30, "nginx through its NodePort"
    )
    assert web.PAGE in page
    proxied = deployed.text("/api/v1/namespaces/default/services/web:80/proxy/")
    assert web.PAGE in proxied


def test_service_resolves_and_answers_in_a_pod(deployed: Cluster) -> None:
    address = deployed.get("/api/v1/namespaces/default/services/web")["spec"]["clusterIP"]
    script = f"nslookup web.default.svc.cluster.local && wget -q -T 10 -O - http://{address}/"
    output = run_script(deployed, "asks", script)
    looked_up, _, page = output.partition("<!doctype")
    assert address in looked_up
    assert "10.43.0.10" in looked_up
    assert web.PAGE in page


def test_the_node_itself_reaches_services_without_a_router(deployed: Cluster) -> None:
    """As the API server does for webhooks; the machine's network leads nowhere."""
    address = deployed.get("/api/v1/namespaces/default/services/web")["spec"]["clusterIP"]
    script = f"ip route && wget -q -T 10 -O - http://{address}/"
    routes, _, page = run_script(deployed, "node-asks", script, host_network=True).partition("<!doctype")
    assert "default" not in routes
    assert web.PAGE in page


def test_privileged_pod_can_not_write_to_the_root(deployed: Cluster) -> None:
    folders = ("/usr", "/bin", "/sbin", "/lib/modules")
    script = "; ".join(f"touch /host{folder}/probe 2>&1" for folder in folders) + "; id -u; true"
    output = run_script(deployed, "writes", script, privileged=True).splitlines()
    assert output[-1] == "0"
    assert len(output) == len(folders) + 1
    assert all(READ_ONLY in line for line in output[:-1]), output


def test_containers_outlive_the_payload(machine: Machine, deployed: Cluster) -> None:
    """The payload is killed from a pod; the next one takes over what runs."""
    before = nginx_container(deployed)
    kills = killer("kills", [0])
    deployed.apply(kills)
    wait_milestones(machine, ("node-ready",), READY_SECONDS, times=2)
    assert web.PAGE in deployed.retry(
        lambda: ask_node_port(machine),
        lambda text: web.PAGE in text,
        60,
        "nginx after the kill",
    )
    wait_ended(deployed, kills, READY_SECONDS)
    wait_available(deployed)
    assert nginx_container(deployed) == before


def nginx_container(cluster: Cluster) -> tuple[str, str, int]:
    """Its id, when it was started, how often it was started again."""
    selector = ",".join(f"{key}={value}" for key, value in web.LABELS.items())
    pods = cluster.get("/api/v1/namespaces/default/pods", labelSelector=selector)["items"]
    (status,) = pods[0]["status"]["containerStatuses"]
    return status["containerID"], status["state"]["running"]["startedAt"], status["restartCount"]


def test_consoles_say_that_it_is_ready(machine: Machine, deployed: Cluster) -> None:
    machine.serial.wait("s: Ready", stretched(60))
    text = machine.serial.text()
    assert "API https://10.0.2.15:6443, data on the data partition" in text
    assert "Kubernetes starts" in text


def test_restart_keeps_deployment_and_service(machine: Machine, deployed: Cluster) -> None:
    before = node_of(deployed)
    authority = machine.host.ask("kubeconfig")
    for name, seconds in TIDY_SECONDS.items():
        deployed.apply(web.tidy_pod(name, seconds))
    for name in TIDY_SECONDS:
        deployed.wait(pod_path(name), lambda found: condition(found, "Ready"), POD_SECONDS, f"{name} runs")
    place = machine.serial.position()
    machine.host.ask("reboot")
    machine.wait_reset(stretched(90))
    wait_booted(machine, BOOT_SECONDS, place)
    wait_milestones(machine, READY, READY_SECONDS)
    assert machine.host.ask("kubeconfig") == authority, "keys and certificates are kept"
    client = connect(machine)
    try:
        after = node_of(client)
        assert after["metadata"]["uid"] == before["metadata"]["uid"]
        assert after["status"]["nodeInfo"]["bootID"] != before["status"]["nodeInfo"]["bootID"]
        wait_available(client)
        client.retry(
            lambda: ask_node_port(machine), lambda text: web.PAGE in text, 60, "nginx after the restart"
        )
        for name in TIDY_SECONDS:
            diary = client.retry(
                partial(client.logs, name),
                lambda text: text.count("started") > 1,
                POD_SECONDS,
                f"{name}'s diary",
            )
            assert diary.split() == ["started", "tidied", "started"], (
                f"{name} had its grace, and was not started again"
            )
    finally:
        client.close()
