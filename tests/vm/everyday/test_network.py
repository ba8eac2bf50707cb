"""The ways to a pod: ClusterIP, headless, ExternalName, NodePort and hostPort."""

from __future__ import annotations

import pytest

from tests.vm import web
from tests.vm.everyday.conftest import HOST_PORT, MACHINE_SECONDS, NODE_PORT, POD_SECONDS, Everyday
from tests.vm.workload import ask_node_port

pytestmark = [pytest.mark.long, pytest.mark.timeout(MACHINE_SECONDS)]

ASK = "wget -q -T 10 -O - http://{}/"


def asked(everyday: Everyday, place: str) -> str:
    """What a pod gets there."""
    return everyday.cluster.retry(
        lambda: everyday.shell("asks", ASK.format(place)), bool, POD_SECONDS, f"an answer of {place}"
    )


def outside(everyday: Everyday, port: int) -> str:
    """What is to be had at a port of the node in the end."""
    return everyday.cluster.retry(
        lambda: ask_node_port(everyday.machine, port=port),
        lambda text: web.PAGE in text,
        POD_SECONDS,
        f"port {port}",
    )


def test_a_service_and_its_other_name(everyday: Everyday) -> None:
    assert web.PAGE in asked(everyday, "site")
    assert web.PAGE in asked(everyday, "site.default.svc.cluster.local")
    assert web.PAGE in asked(everyday, "elsewhere")


def test_a_headless_service_names_its_pods(everyday: Everyday) -> None:
    for name in ("peer-0", "peer-1"):
        assert asked(everyday, f"{name}.peers") == f"{name}\n"
        address = everyday.pod(name)["status"]["podIP"]
        everyday.cluster.retry(
            lambda: everyday.shell("asks", "nslookup peers.default.svc.cluster.local"),
            lambda text, address=address: address in text,  # type: ignore[misc]
            POD_SECONDS,
            f"{name} under the Service's name",
        )


def test_ports_of_the_node(everyday: Everyday) -> None:
    assert web.PAGE in outside(everyday, NODE_PORT)
    assert web.PAGE in outside(everyday, HOST_PORT)
    address = everyday.pod("at-the-node")["status"]["hostIP"]
    for port in (NODE_PORT, HOST_PORT):
        assert web.PAGE in asked(everyday, f"{address}:{port}"), "from a pod, too"


def test_a_second_pod_for_the_same_port_waits(everyday: Everyday) -> None:
    everyday.apply("""
apiVersion: v1
kind: Pod
metadata: {name: too-late}
spec:
  containers: [{name: nginx, image: "@image@", ports: [{containerPort: 80, hostPort: 8181}]}]
""")
    pod = everyday.wait_pod("too-late", lambda pod: bool(pod["status"].get("conditions")), "judged")
    (scheduled,) = [one for one in pod["status"]["conditions"] if one["type"] == "PodScheduled"]
    assert "free ports" in scheduled["message"]
    everyday.kubectl("delete", "pod", "too-late", "--wait=false")
