"""Deployments, StatefulSets, DaemonSets, Jobs and CronJobs."""

from __future__ import annotations

import pytest

from tasks.lib.vm.kube import condition
from tests.vm.everyday.conftest import MACHINE_SECONDS, POD_SECONDS, Everyday

pytestmark = [pytest.mark.long, pytest.mark.timeout(MACHINE_SECONDS)]

APPS = "/apis/apps/v1/namespaces/default"
BATCH = "/apis/batch/v1/namespaces/default"
ROLLOUT_SECONDS = 180
# The next full minute, and a pod's start.
TICK_SECONDS = 120


def test_a_deployment_rolls_on_and_back(everyday: Everyday) -> None:
    kubectl = everyday.kubectl
    rolled = ("rollout", "status", "deployment/site", "--timeout=10m")
    kubectl(*rolled, timeout=ROLLOUT_SECONDS)
    kubectl("set", "env", "deployment/site", "ROUND=two")
    kubectl(*rolled, timeout=ROLLOUT_SECONDS)
    assert "ROUND=two" in kubectl("set", "env", "deployment/site", "--list")
    kubectl("rollout", "undo", "deployment/site")
    kubectl(*rolled, timeout=ROLLOUT_SECONDS)
    assert "ROUND=two" not in kubectl("set", "env", "deployment/site", "--list")
    status = everyday.cluster.get(f"{APPS}/deployments/site")["status"]
    assert status["availableReplicas"] == status["updatedReplicas"] == 2


def test_a_statefulset_starts_in_order_and_keeps_names(everyday: Everyday) -> None:
    everyday.cluster.wait(
        f"{APPS}/statefulsets/peer",
        lambda found: found["status"].get("readyReplicas") == 2,
        POD_SECONDS,
        "both replicas",
    )
    first, second = everyday.pod("peer-0"), everyday.pod("peer-1")
    assert ready_since(first) <= second["metadata"]["creationTimestamp"]
    everyday.kubectl("delete", "pod", "peer-1", "--wait=false")
    everyday.wait_pod(
        "peer-1",
        lambda pod: (
            pod["metadata"]["uid"] != second["metadata"]["uid"] and pod["status"]["phase"] == "Running"
        ),
        "back under its name",
    )


def ready_since(pod: dict[str, object]) -> str:
    """When the pod became Ready."""
    status = pod["status"]
    assert isinstance(status, dict)
    (time,) = [one["lastTransitionTime"] for one in status["conditions"] if one["type"] == "Ready"]
    return str(time)


def test_a_daemonset_has_a_pod_on_the_node(everyday: Everyday) -> None:
    found = everyday.cluster.wait(
        f"{APPS}/daemonsets/everywhere",
        lambda found: found["status"].get("numberReady") == 1,
        POD_SECONDS,
        "a pod",
    )
    assert found["status"]["desiredNumberScheduled"] == 1


def test_jobs_complete_or_fail(everyday: Everyday) -> None:
    counted = everyday.cluster.wait(
        f"{BATCH}/jobs/counts", lambda found: bool(found["status"].get("completionTime")), POD_SECONDS, "done"
    )
    assert counted["status"]["succeeded"] == 3
    log = everyday.kubectl("logs", "-l", "job-name=counts")
    assert sorted(log.splitlines()) == ["index 0", "index 1", "index 2"]
    failed = everyday.cluster.wait(
        f"{BATCH}/jobs/fails", lambda found: condition(found, "Failed"), POD_SECONDS, "failed"
    )
    assert not failed["status"].get("succeeded")
    reasons = {one["type"]: one["reason"] for one in failed["status"]["conditions"]}
    assert reasons.get("Failed") == "BackoffLimitExceeded"


def test_a_cronjob_runs_every_minute(everyday: Everyday) -> None:
    everyday.cluster.wait(
        f"{BATCH}/cronjobs/ticks",
        lambda found: bool(found["status"].get("lastSuccessfulTime")),
        TICK_SECONDS,
        "a run",
    )
    everyday.kubectl("patch", "cronjob", "ticks", "-p", '{"spec": {"suspend": true}}')
