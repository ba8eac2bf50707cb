"""Services as promised, on one node whose cluster has networks of the operator's choice.

They never stop answering for longer than the API is away, none is missing after a full sync, and the node's
address may change. The tests run in this order on one machine.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tasks.lib.vm.hardware import Hardware
from tasks.lib.vm.kube import Cluster, Object
from tasks.lib.vm.machine import Machine
from tests.vm import web
from tests.vm.conftest import Start
from tests.vm.killer import killer
from tests.vm.node import API
from tests.vm.outage import Watch, api_answers, dns_longest, dns_watch, watching
from tests.vm.workload import (
    ask_node_port,
    data_disk,
    deploy,
    pod_path,
    run_script,
    wait_available,
    wait_ended,
)

DISK_MIB = 2048
MACHINE_SECONDS = 3600
LONG_SECONDS = 7200
PODS, SERVICES, DNS, FIRST = "172.20.", "172.21.0.0/20", "172.21.0.10", "172.21.0.1"
FLAGS = f"--pod-cidr={PODS}0.0/16 --service-cidr={SERVICES}\n"
# What asking itself may take on a slow host.
SLACK_SECONDS = 5
PROXY_METRICS = "http://127.0.0.1:10249/metrics"
FULL_SYNCS = "kubeproxy_sync_full_proxy_rules_duration_seconds_count"
# The API as pods know it.
TALK = "nc -w 5 kubernetes.default 443 </dev/null"
MERGE = {"Content-Type": "application/strategic-merge-patch+json"}

pytestmark = pytest.mark.timeout(MACHINE_SECONDS)


@pytest.fixture(scope="module")
def machine(
    start_shared: Start, iso: Path, nginx_archive: Path, tmp_path_factory: pytest.TempPathFactory
) -> Machine:
    disk = data_disk(
        tmp_path_factory.mktemp("services"), DISK_MIB, nginx_archive, {"etc-kubesolo/extra-flags": FLAGS}
    )
    return start_shared(Hardware(cdrom=iso, data=disk, forwards={API: 0, web.NODE_PORT: 0}), LONG_SECONDS)


@pytest.fixture(scope="module")
def cluster(cluster: Cluster) -> Cluster:
    """With nginx behind its Service."""
    deploy(cluster)
    return cluster


def patch(cluster: Cluster, path: str, change: Object) -> None:
    cluster.request("PATCH", path, data=json.dumps(change), headers=MERGE)


def looked_up(cluster: Cluster, name: str, words: str) -> list[str]:
    """What the node's own nft and kube-proxy say, one line a word of the script's output."""
    return run_script(cluster, name, words, privileged=True, host_network=True).splitlines()


def service_ips(cluster: Cluster, name: str) -> tuple[set[tuple[str, str, int]], float]:
    """The Services that kube-proxy's rules know, and how many full syncs it has made."""
    nft = "chroot /host nft -j list map ip kube-proxy service-ips"
    count = f"wget -q -O - {PROXY_METRICS} | grep '^{FULL_SYNCS}{{.*IPv4' || echo no 0"
    *counts, rules = looked_up(cluster, name, f"{count}; {nft}")
    (found,) = (entry["map"] for entry in json.loads(rules)["nftables"] if "map" in entry)
    keys = [element[0]["concat"] for element in found["elem"]]
    return {(ip, protocol, port) for ip, protocol, port in keys}, float(counts[0].split()[-1])


def wanted_ips(cluster: Cluster) -> set[tuple[str, str, int]]:
    """The Services of the API, all of which have endpoints here."""
    return {
        (service["spec"]["clusterIP"], port["protocol"].lower(), port["port"])
        for service in cluster.get("/api/v1/services")["items"]
        for port in service["spec"]["ports"]
    }


def test_the_cluster_uses_the_networks_that_were_asked_for(cluster: Cluster) -> None:
    found = cluster.get("/api/v1/namespaces/default/services/kubernetes")
    assert found["spec"]["clusterIP"] == FIRST
    pods = cluster.get("/api/v1/namespaces/kube-system/pods", labelSelector="k8s-app=kube-dns")["items"]
    assert all(pod["status"]["podIP"].startswith(PODS) for pod in pods)
    output = run_script(
        cluster, "asks", f"cat /etc/resolv.conf; nslookup web.default.svc.cluster.local; {TALK}"
    )
    assert f"nameserver {DNS}\n" in output
    assert cluster.get("/api/v1/namespaces/default/services/web")["spec"]["clusterIP"] in output


def test_no_service_is_missing_after_a_full_sync(cluster: Cluster) -> None:
    """kube-proxy makes one an hour; it also makes one when the node's zone changes."""
    before, syncs = service_ips(cluster, "before")
    assert {protocol for _, protocol, _ in before} == {"tcp", "udp"}, "names, not numbers"
    assert before == wanted_ips(cluster)
    (node,) = cluster.get("/api/v1/nodes")["items"]
    zone: Object = {"metadata": {"labels": {"topology.kubernetes.io/zone": "elsewhere"}}}
    patch(cluster, f"/api/v1/nodes/{node['metadata']['name']}", zone)
    after, more = service_ips(cluster, "after")
    assert more > syncs
    assert after == before
    assert DNS in run_script(cluster, "resolves", "nslookup web.default.svc.cluster.local")


def test_a_pod_is_resized_in_place(cluster: Cluster) -> None:
    pod = web.shell_pod("resized", "while sleep 1; do cat /sys/fs/cgroup/cpu.max; done")
    container = pod["spec"]["containers"][0]
    container["resources"] = {"limits": {"cpu": "200m"}, "requests": {"cpu": "50m"}}
    cluster.apply(pod)
    cluster.retry(lambda: cluster.logs("resized"), lambda text: "20000 " in text, 60, "200m")
    change = {"name": container["name"], "resources": {"limits": {"cpu": "300m"}}}
    patch(cluster, f"{pod_path('resized')}/resize", {"spec": {"containers": [change]}})
    cluster.retry(lambda: cluster.logs("resized"), lambda text: "30000 " in text, 90, "300m")
    (status,) = cluster.get(pod_path("resized"))["status"]["containerStatuses"]
    assert status["restartCount"] == 0
    cluster.delete(pod)


@contextmanager
def busy_host(processes: int) -> Iterator[None]:
    """So many processes that compute beside the machine."""
    running = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(processes)]
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


def kill_and_measure(machine: Machine, cluster: Cluster, ages: list[float], timeout: float) -> None:
    """Kill the payload; neither NodePort nor DNS may be away for longer than the API is."""
    watch = dns_watch("dns", DNS)
    cluster.apply(watch)
    cluster.retry(lambda: cluster.logs("dns"), lambda text: text.count("\n") > 2, 60, "DNS")
    api = Watch(lambda: api_answers(cluster))
    node_port = Watch(lambda: web.PAGE in ask_node_port(machine, 3))
    kills = killer("kills", ages)
    with watching(api, node_port):
        cluster.apply(kills)
        output = wait_ended(cluster, kills, timeout)
        wait_available(cluster)
    assert output.count("killed") == len(ages)
    away = {"API": api.longest(), "NodePort": node_port.longest(), "DNS": dns_longest(cluster, "dns")}
    print("longest time without an answer, in seconds:", away)
    cluster.delete(watch)
    assert max(away["NodePort"], away["DNS"]) <= away["API"] + SLACK_SECONDS, away
    complete, _ = service_ips(cluster, "complete")
    assert complete == wanted_ips(cluster)


@pytest.mark.long
def test_services_answer_while_the_payload_is_killed(machine: Machine, cluster: Cluster) -> None:
    kill_and_measure(machine, cluster, [1, 15, 5], 300)


ADDRESS, OTHER, GATEWAY = "10.0.2.15", "10.0.2.150", "10.0.2.2"
# Run on the node's own network: the API is not reachable from outside meanwhile.
MOVES = f"""
kubectl() {{ chroot /host kubectl --kubeconfig /var/lib/kubesolo/pki/admin/admin.kubeconfig "$@" 2>&1; }}
move() {{
    chroot /host ip address del "$1/24" dev eth0 # first: with it go all others of its network
    chroot /host ip address add "$2/24" dev eth0
    chroot /host ip route replace default via {GATEWAY} dev eth0
}}
# until_said WORD COMMAND...
until_said() {{
    word=$1
    shift
    until "$@" | grep -Fw "$word"; do sleep 2; done
}}
name() {{ nslookup -type=a "$1.default.svc.cluster.local" {DNS} 2>&1; }}
followed() {{
    until_said "$1" kubectl get nodes -o 'jsonpath={{.items[0].status.addresses[*].address}}'
    until_said "$1" kubectl get endpointslices kubernetes -o 'jsonpath={{.endpoints[*].addresses[*]}}'
    until kubectl create service clusterip "$2" --tcp=80 | grep -w created; do sleep 2; done
    until_said Name: name "$2"
}}
move {ADDRESS} {OTHER}
followed {OTHER} late
move {OTHER} {ADDRESS}
followed {ADDRESS} later
"""


@pytest.mark.long
def test_the_cluster_follows_the_nodes_address(machine: Machine, cluster: Cluster) -> None:
    """The address changes under a running node, and back. Names of Services that are made afterwards resolve:
    cluster DNS has found the API again."""
    selector = "k8s-app=kube-dns"
    (before,) = cluster.get("/api/v1/namespaces/kube-system/pods", labelSelector=selector)["items"]
    moves = web.shell_pod("moves", MOVES, privileged=True, host_network=True)
    cluster.apply(moves)
    wait_ended(cluster, moves, 600)
    cluster.retry(lambda: ask_node_port(machine), lambda text: web.PAGE in text, 60, "nginx at its address")
    assert DNS in run_script(cluster, "again", f"nslookup later.default.svc.cluster.local; {TALK}")
    (after,) = cluster.get("/api/v1/namespaces/kube-system/pods", labelSelector=selector)["items"]
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert after["status"]["containerStatuses"][0]["restartCount"] == 0


@pytest.mark.long
@pytest.mark.timeout(LONG_SECONDS)
def test_services_answer_while_the_payload_is_killed_twenty_times(machine: Machine, cluster: Cluster) -> None:
    """On a host whose processors are busy."""
    with busy_host(2 * (os.cpu_count() or 1)):
        kill_and_measure(machine, cluster, [1, 10, 3, 30, 5] * 4, 3600)
