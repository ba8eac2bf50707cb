"""What an operator does to a node: drain it, and start it anew. These come last, as all pods go with it."""

from __future__ import annotations

import json

import pytest

from tasks.lib.vm.kube import condition
from tests.vm.everyday.conftest import MACHINE_SECONDS, POD_SECONDS, Everyday

pytestmark = [pytest.mark.long, pytest.mark.timeout(MACHINE_SECONDS)]

DRAIN_SECONDS = 300
BUDGET = """
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: site}
spec: {minAvailable: 1, selector: {matchLabels: {app: site}}}
"""
SITE = "/apis/apps/v1/namespaces/default/deployments/site"


@pytest.mark.timeout(1800)
def test_the_node_is_drained_and_taken_back(everyday: Everyday) -> None:
    """A budget is kept as long as it can be: the pod that must stay has nowhere else to go."""
    kubectl = everyday.kubectl
    everyday.cluster.wait(SITE, lambda found: condition(found, "Available"), POD_SECONDS, "available")
    everyday.apply(BUDGET)
    everyday.cluster.wait(
        "/apis/policy/v1/namespaces/default/poddisruptionbudgets/site",
        lambda found: found.get("status", {}).get("disruptionsAllowed") == 1,
        POD_SECONDS,
        "the budget is counted",
    )
    drain = ("drain", everyday.node, "--ignore-daemonsets", "--delete-emptydir-data", "--force")
    site = ("--pod-selector=app=site", "--timeout=20s")
    assert "global timeout reached" in kubectl.refused(*drain, *site)
    left = json.loads(kubectl("get", "pods", "-l", "app=site", "-o", "json"))["items"]
    assert [pod["metadata"]["name"] for pod in left if condition(pod, "Ready")]
    kubectl("delete", "poddisruptionbudget", "site")
    kubectl(*drain, "--timeout=10m", timeout=DRAIN_SECONDS)
    assert everyday.cluster.get(f"/api/v1/nodes/{everyday.node}")["spec"]["unschedulable"]
    running = json.loads(kubectl("get", "pods", "-o", "json", "--field-selector=status.phase=Running"))[
        "items"
    ]
    owners = {owner["kind"] for pod in running for owner in pod["metadata"].get("ownerReferences", [])}
    assert owners == {"DaemonSet"}, [pod["metadata"]["name"] for pod in running]
    kubectl("uncordon", everyday.node)
    everyday.cluster.wait(
        SITE, lambda found: found["status"].get("availableReplicas") == 2, POD_SECONDS, "back again"
    )


@pytest.mark.timeout(3600)
def test_a_reboot_keeps_volumes_and_gives_pods_their_grace(everyday: Everyday) -> None:
    """Each life of the pod begins, is told to end, and tidies up; nothing is lost, nothing runs twice."""
    everyday.wait_pod("diary-0", lambda pod: pod["status"].get("phase") == "Running", "runs")
    before = everyday.shell("diary-0", "cat /shelf/diary").split()
    assert before[-1] == "began"
    everyday.restart()
    after = everyday.cluster.retry(
        lambda: everyday.shell("diary-0", "cat /shelf/diary"),
        lambda text: len(text.split()) > len(before),
        POD_SECONDS,
        "the pod's next life",
    )
    assert after.split() == [*before, "told", "tidied", "began"]
    claim = everyday.cluster.get("/api/v1/namespaces/default/persistentvolumeclaims/shelf")
    assert claim["status"]["phase"] == "Bound"
    everyday.cluster.wait(
        SITE, lambda found: found["status"].get("availableReplicas") == 2, POD_SECONDS, "back again"
    )
