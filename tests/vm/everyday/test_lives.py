"""Init and sidecar containers, and the three kinds of probes."""

from __future__ import annotations

import pytest

from tasks.lib.vm.kube import Object, condition
from tests.vm.everyday.conftest import MACHINE_SECONDS, POD_SECONDS, Everyday

pytestmark = [pytest.mark.long, pytest.mark.timeout(MACHINE_SECONDS)]

SLICES = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"


def container(pod: Object) -> Object:
    """The state of its only container."""
    (status,) = pod["status"].get("containerStatuses") or [{}]
    found: Object = status
    return found


def test_init_and_sidecar_containers_run_in_order(everyday: Everyday) -> None:
    assert everyday.output("in-order", "main").split() == ["first", "beside", "second", "main"]
    everyday.wait_log("in-order", "sidecar ends", "beside")


def test_a_container_that_falls_ill_is_started_again(everyday: Everyday) -> None:
    pod = everyday.wait_pod("falls-ill", lambda pod: container(pod).get("restartCount", 0) > 0, "restarted")
    assert container(pod)["lastState"]["terminated"]["exitCode"] == 137
    events = everyday.kubectl(
        "get", "events", "--field-selector=involvedObject.name=falls-ill,reason=Unhealthy"
    )
    assert "Liveness probe failed" in events
    assert "born" in everyday.kubectl("logs", "--previous", "falls-ill")
    everyday.kubectl("delete", "pod", "falls-ill", "--wait=false")


def test_a_slow_start_is_waited_for(everyday: Everyday) -> None:
    """The startup probe holds the others back, and the pod gets no traffic before it is ready."""
    pod = everyday.wait_pod("slow-start", lambda pod: bool(container(pod).get("started")), "started")
    assert container(pod)["restartCount"] == 0
    assert not condition(pod, "Ready")
    assert endpoints(everyday) == [False]
    everyday.shell("slow-start", "touch /usr/share/nginx/html/ready")
    everyday.cluster.retry(
        lambda: str(endpoints(everyday)),
        lambda text: text == "[True]",
        POD_SECONDS,
        "an endpoint that is ready",
    )


def endpoints(everyday: Everyday) -> list[bool]:
    """Which endpoints of the Service are ready."""
    slices = everyday.cluster.get(SLICES, labelSelector="kubernetes.io/service-name=slow-start")["items"]
    return [one["conditions"]["ready"] for each in slices for one in each.get("endpoints") or []]
