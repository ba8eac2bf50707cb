"""NetworkPolicies on a real node: they count at once, for pods that start as for those that run, and cost a
cluster that has none nothing.

The tests run in this order on one machine.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.lib.vm.hardware import Hardware
from tasks.lib.vm.kube import Cluster, Object, condition
from tasks.lib.vm.machine import Machine
from tests.vm import web
from tests.vm.conftest import Start
from tests.vm.node import API, wait_log
from tests.vm.workload import DEPLOYMENT, ask_node_port, data_disk, deploy, run_script

DISK_MIB = 2048
MACHINE_SECONDS = 1800
LOG_SECONDS = 30
# The name is looked up, by UDP through one Service; the page comes by TCP through another.
ASK = "wget -q -T 5 -O - http://web.default.svc.cluster.local/ || echo no answer"
TABLE = "chroot /host nft list table inet kubesolo-netpolicy 2>&1 || true"

pytestmark = pytest.mark.timeout(MACHINE_SECONDS)


@pytest.fixture(scope="module")
def machine(
    start_shared: Start, iso: Path, nginx_archive: Path, tmp_path_factory: pytest.TempPathFactory
) -> Machine:
    disk = data_disk(tmp_path_factory.mktemp("networkpolicy"), DISK_MIB, nginx_archive)
    forwards = {API: 0, web.NODE_PORT: 0}
    return start_shared(Hardware(cdrom=iso, data=disk, forwards=forwards), MACHINE_SECONDS)


@pytest.fixture(scope="module")
def cluster(cluster: Cluster) -> Cluster:
    """With nginx behind its Service."""
    deploy(cluster)
    return cluster


def policy(name: str, spec: Object) -> Object:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": "default"},
        "spec": spec,
    }


DENY = policy("deny", {"podSelector": {}, "policyTypes": ["Ingress"]})
ALLOW = policy(
    "allow", {"podSelector": {"matchLabels": web.LABELS}, "ingress": [{"from": [{"podSelector": {}}]}]}
)


def table(cluster: Cluster, name: str) -> str:
    return run_script(cluster, name, TABLE, privileged=True, host_network=True)


def test_without_a_policy_there_is_no_table(cluster: Cluster) -> None:
    assert "No such file" in table(cluster, "look-before")
    assert web.PAGE in run_script(cluster, "ask-before", ASK)


def test_deny_stops_a_pod_and_those_outside(cluster: Cluster, machine: Machine) -> None:
    cluster.apply(DENY)
    wait_log(machine, "in force", LOG_SECONDS)
    assert "no answer" in run_script(cluster, "ask-denied", ASK)
    assert web.PAGE not in ask_node_port(machine)


def test_kubelet_reaches_what_is_isolated(cluster: Cluster) -> None:
    """The readiness probe asks every two seconds; by now it would have failed three times."""
    assert condition(cluster.get(DEPLOYMENT), "Available")


def test_allow_lets_a_pod_in_again_from_its_first_instant(cluster: Cluster, machine: Machine) -> None:
    cluster.apply(ALLOW)
    assert web.PAGE in run_script(cluster, "ask-allowed", ASK)
    assert web.PAGE not in ask_node_port(machine)


def test_the_table_goes_with_the_last_policy(cluster: Cluster, machine: Machine) -> None:
    cluster.delete(DENY)
    cluster.delete(ALLOW)
    wait_log(machine, "there are no policies", LOG_SECONDS)
    assert "No such file" in table(cluster, "look-after")
    assert web.PAGE in ask_node_port(machine)
