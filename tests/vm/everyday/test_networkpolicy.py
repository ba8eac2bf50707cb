"""NetworkPolicies on a real node: they count at once, for pods that start as for those that run, and cost a
cluster that has none nothing.

The tests run in this order.
"""

from __future__ import annotations

import pytest

from tasks.lib.vm.kube import Object, condition
from tests.vm import web
from tests.vm.everyday.conftest import MACHINE_SECONDS, NODE_PORT, Everyday
from tests.vm.node import wait_log
from tests.vm.workload import run_script

LOG_SECONDS = 30
SITE = "/apis/apps/v1/namespaces/default/deployments/site"
# The name is looked up, by UDP through one Service; the page comes by TCP through another.
ASK = "wget -q -T 5 -O - http://site.default.svc.cluster.local/ || echo no answer"
TABLE = "chroot /host nft list table inet kubesolo-netpolicy 2>&1 || true"

pytestmark = pytest.mark.timeout(MACHINE_SECONDS)


def policy(name: str, spec: Object) -> Object:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": "default"},
        "spec": spec,
    }


DENY = policy("deny", {"podSelector": {}, "policyTypes": ["Ingress"]})
ALLOW = policy(
    "allow", {"podSelector": {"matchLabels": {"app": "site"}}, "ingress": [{"from": [{"podSelector": {}}]}]}
)


def table(everyday: Everyday, name: str) -> str:
    return run_script(everyday.cluster, name, TABLE, privileged=True, host_network=True)


def test_without_a_policy_there_is_no_table(everyday: Everyday) -> None:
    assert "No such file" in table(everyday, "look-before")
    assert web.PAGE in everyday.shell("asks", ASK)


def test_deny_stops_a_pod_and_those_outside(everyday: Everyday) -> None:
    everyday.cluster.apply(DENY)
    wait_log(everyday.machine, "in force", LOG_SECONDS)
    assert "no answer" in everyday.shell("asks", ASK)
    assert "no answer" in run_script(everyday.cluster, "ask-denied", ASK)
    assert web.PAGE not in everyday.outside(NODE_PORT)


def test_kubelet_reaches_what_is_isolated(everyday: Everyday) -> None:
    """The readiness probe asks every five seconds; by now it would have failed three times."""
    assert condition(everyday.cluster.get(SITE), "Available")


def test_allow_lets_a_pod_in_again_from_its_first_instant(everyday: Everyday) -> None:
    everyday.cluster.apply(ALLOW)
    assert web.PAGE in run_script(everyday.cluster, "ask-allowed", ASK)
    assert web.PAGE not in everyday.outside(NODE_PORT)


def test_the_table_goes_with_the_last_policy(everyday: Everyday) -> None:
    everyday.cluster.delete(DENY)
    everyday.cluster.delete(ALLOW)
    wait_log(everyday.machine, "there are no policies", LOG_SECONDS)
    assert "No such file" in table(everyday, "look-after")
    assert web.PAGE in everyday.outside(NODE_PORT)
