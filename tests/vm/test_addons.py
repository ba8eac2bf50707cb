"""What comes with a node: volumes, a load balancer, figures of use, Portainer's agent. None of it needs the
network, and all of it leaves alone what an operator has changed.

The tests run in this order on one machine.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
import requests

from tasks.lib.vm.hardware import LOOPBACK, Hardware
from tasks.lib.vm.kube import Cluster, Object
from tasks.lib.vm.machine import Machine
from tests.vm import web
from tests.vm.conftest import Start, start_again
from tests.vm.killer import killer
from tests.vm.kubectl import Kubectl, kubectl_of
from tests.vm.node import API, READY, READY_SECONDS, wait_log, wait_milestones
from tests.vm.workload import data_disk, deploy, run_script, wait_available, wait_ended

DISK_MIB = 2048
MACHINE_SECONDS = 3600
WAIT_SECONDS = 120
# kubelet looks every ten seconds or so, and an autoscaler every fifteen.
FIGURES_SECONDS = 120
LB_PORT = 8088
EDGE_ID, EDGE_KEY = "edge-1", "a2V5LW9mLXRoZS1ub2Rl"
CONFIGURATION = f"""#cloud-config
kubesolo: {{load-balancer: true, local-storage-shared-path: /mnt/shared}}
portainer: {{edge-id: {EDGE_ID}, edge-key: {EDGE_KEY}, edge-async: true}}
"""
MERGE = {"Content-Type": "application/merge-patch+json"}
SERVICES = "/api/v1/namespaces/default/services"
CLAIMS = "/api/v1/namespaces/default/persistentvolumeclaims"
SCALERS = "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers"
FIGURES = "/apis/metrics.k8s.io/v1beta1"
STORAGE_CLASS = "/apis/storage.k8s.io/v1/storageclasses/local-path"
PORTAINER = "/api/v1/namespaces/portainer"
AGENT = "/apis/apps/v1/namespaces/portainer/deployments/portainer-agent"
DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
DNS = "/apis/apps/v1/namespaces/kube-system/deployments/coredns"
TEXT = "written before the reboot"

pytestmark = pytest.mark.timeout(MACHINE_SECONDS)


@pytest.fixture(scope="module")
def machine(
    start_shared: Start, iso: Path, nginx_archive: Path, tmp_path_factory: pytest.TempPathFactory
) -> Machine:
    disk = data_disk(
        tmp_path_factory.mktemp("addons"),
        DISK_MIB,
        nginx_archive,
        {"etc-kubesolo/cloud-init.yaml": CONFIGURATION},
    )
    return start_shared(Hardware(cdrom=iso, data=disk, forwards={API: 0, LB_PORT: 0}), MACHINE_SECONDS)


@pytest.fixture(scope="module")
def cluster(cluster: Cluster) -> Cluster:
    """With nginx behind its Service."""
    deploy(cluster)
    return cluster


@pytest.fixture(scope="module")
def kubectl(machine: Machine, tmp_path_factory: pytest.TempPathFactory) -> Kubectl:
    return kubectl_of(machine, tmp_path_factory.mktemp("kubectl"))


def claim(name: str, mode: str = "ReadWriteOnce") -> Object:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name},
        "spec": {"accessModes": [mode], "resources": {"requests": {"storage": "1Mi"}}},
    }


def with_volume(name: str, claim_name: str, script: str) -> Object:
    """A pod of no privileges that runs shell with the volume at /data."""
    pod = web.shell_pod(name, script)
    spec = pod["spec"]
    spec["securityContext"] = {"runAsUser": 1000, "runAsNonRoot": True}
    spec["volumes"] = [{"name": "data", "persistentVolumeClaim": {"claimName": claim_name}}]
    spec["containers"][0]["volumeMounts"] = [{"name": "data", "mountPath": "/data"}]
    return pod


def run_with_volume(cluster: Cluster, name: str, claim_name: str, script: str) -> str:
    pod = with_volume(name, claim_name, script)
    cluster.apply(pod)
    return wait_ended(cluster, pod)


def load_balancer(name: str, **more: object) -> Object:
    ports = [{"port": LB_PORT, "targetPort": 80}]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"type": "LoadBalancer", "selector": web.LABELS, "ports": ports, **more},
    }


def ingress(service: Object) -> list[Object]:
    found: list[Object] = service["status"]["loadBalancer"].get("ingress", [])
    return found


def has_ingress(service: Object) -> bool:
    return bool(ingress(service))


def ask_load_balancer(machine: Machine) -> str:
    """The page at the node's own address, from outside the machine."""
    try:
        with requests.Session() as session:
            session.trust_env = False
            return session.get(f"http://{LOOPBACK}:{machine.port(LB_PORT)}/", timeout=10).text
    except requests.RequestException as error:
        return str(error)


def test_a_claim_gets_a_volume(cluster: Cluster) -> None:
    assert cluster.get(STORAGE_CLASS)["metadata"]["annotations"][DEFAULT_CLASS] == "true"
    cluster.apply(claim("kept"))
    run_with_volume(cluster, "writes", "kept", f"echo '{TEXT}' >/data/text && sync")
    assert cluster.get(f"{CLAIMS}/kept")["status"]["phase"] == "Bound"


def test_several_pods_share_a_volume_of_the_shared_folder(cluster: Cluster) -> None:
    cluster.apply(claim("shared", "ReadWriteMany"))
    run_with_volume(cluster, "shares", "shared", "echo both >/data/text")
    assert "both" in run_with_volume(cluster, "reads-shared", "shared", "cat /data/text")
    volume = cluster.get(f"{CLAIMS}/shared")["spec"]["volumeName"]
    path = cluster.get(f"/api/v1/persistentvolumes/{volume}")["spec"]["local"]["path"]
    assert path.startswith("/mnt/shared/pvc-")
    cluster.delete(claim("shared"))
    found = "ls /host/mnt/data/shared"
    cluster.retry(
        lambda: run_script(cluster, "looks", found, privileged=True) or "none",
        lambda text: "pvc-" not in text,
        WAIT_SECONDS,
        "the folder goes with its claim",
    )


def test_a_load_balancers_service_answers_on_the_nodes_address(cluster: Cluster, machine: Machine) -> None:
    cluster.apply(load_balancer("first"))
    service = cluster.wait(f"{SERVICES}/first", has_ingress, WAIT_SECONDS, "an address of the load balancer")
    addresses = cluster.get("/api/v1/nodes")["items"][0]["status"]["addresses"]
    assert ingress(service)[0]["ip"] in [entry["address"] for entry in addresses]
    cluster.retry(
        lambda: ask_load_balancer(machine), lambda text: web.PAGE in text, WAIT_SECONDS, "nginx from outside"
    )


def test_a_second_service_for_the_same_port_is_told_why_not(cluster: Cluster) -> None:
    cluster.apply(load_balancer("second"))
    cluster.apply(load_balancer("foreign", loadBalancerClass="example.com/other"))
    fields = "reason=LoadBalancerRefused,involvedObject.name=second"
    cluster.retry(
        lambda: json.dumps(cluster.get("/api/v1/namespaces/default/events", fieldSelector=fields)),
        lambda text: f"{LB_PORT}/TCP" in text and "default/first" in text,
        WAIT_SECONDS,
        "an event",
    )
    for name in ("second", "foreign"):
        assert not ingress(cluster.get(f"{SERVICES}/{name}"))


def test_kubectl_top_shows_node_and_pods(cluster: Cluster, kubectl: Kubectl) -> None:
    cluster.retry(
        lambda: json.dumps(cluster.get(f"{FIGURES}/namespaces/default/pods")),
        lambda text: '"web-' in text,
        FIGURES_SECONDS,
        "figures",
    )
    node = kubectl("top", "node", "--no-headers").split()
    pod = kubectl("top", "pod", "--no-headers", "-l", "app=web").split()
    assert [word.lstrip("0123456789") for word in (node[1], node[3])] == ["m", "Mi"], node
    assert [word.lstrip("0123456789") for word in pod[1:3]] == ["m", "Mi"], pod


def test_an_autoscaler_gets_a_value(cluster: Cluster) -> None:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    average = {"type": "AverageValue", "averageValue": "900Mi"}
    scaler = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "web"},
        "spec": {
            "scaleTargetRef": target,
            "maxReplicas": 2,
            "metrics": [{"type": "Resource", "resource": {"name": "memory", "target": average}}],
        },
    }
    cluster.apply(scaler)
    found = cluster.wait(
        f"{SCALERS}/web",
        lambda scaler: bool(scaler["status"].get("currentMetrics")),
        FIGURES_SECONDS,
        "an autoscaler's value",
    )
    assert found["status"]["currentMetrics"][0]["resource"]["current"]["averageValue"] != "0"
    cluster.delete(scaler)


def test_portainers_agent_is_there_with_its_key_in_a_secret(cluster: Cluster, machine: Machine) -> None:
    """The image can not be pulled here: the objects are right, and the node is well without it."""
    secret = cluster.get(f"{PORTAINER}/secrets/portainer-agent-edge-key")["data"]["edge.key"]
    assert base64.b64decode(secret).decode() == EDGE_KEY
    settings = cluster.get(f"{PORTAINER}/configmaps/portainer-agent-edge")["data"]
    assert (settings["EDGE_ID"], settings["EDGE_ASYNC"]) == (EDGE_ID, "1")
    assert EDGE_KEY not in json.dumps(cluster.get(AGENT))
    pods = cluster.get(f"{PORTAINER}/pods")["items"]
    assert [pod["spec"]["containers"][0]["image"] for pod in pods] == ["docker.io/portainer/agent:lts"]
    assert EDGE_KEY not in machine.host.ask("log", 30)


@pytest.mark.long
def test_an_operators_changes_outlive_the_payload(cluster: Cluster, machine: Machine) -> None:
    cluster.request("PATCH", DNS, data='{"spec": {"replicas": 2}}', headers=MERGE)
    annotations = {DEFAULT_CLASS: "false"}
    change = json.dumps({"metadata": {"annotations": annotations}})
    cluster.request("PATCH", STORAGE_CLASS, data=change, headers=MERGE)
    cluster.request("DELETE", AGENT)
    kill = killer("kills", (0,))
    cluster.apply(kill)
    wait_ended(cluster, kill, READY_SECONDS)
    wait_log(machine, "Deployment portainer/portainer-agent was deleted and stays so", WAIT_SECONDS)
    assert cluster.get(DNS)["spec"]["replicas"] == 2
    assert cluster.get(STORAGE_CLASS)["metadata"]["annotations"].items() >= annotations.items()
    assert not cluster.get("/apis/apps/v1/namespaces/portainer/deployments")["items"]
    assert ingress(cluster.get(f"{SERVICES}/first"))


@pytest.mark.long
def test_a_volume_outlives_a_reboot(cluster: Cluster, machine: Machine, start_shared: Start) -> None:
    machine = start_again(start_shared, machine, MACHINE_SECONDS)
    wait_milestones(machine, READY, READY_SECONDS)
    wait_available(cluster)
    assert TEXT in run_with_volume(cluster, "reads", "kept", "cat /data/text")
    cluster.retry(
        lambda: ask_load_balancer(machine),
        lambda text: web.PAGE in text,
        WAIT_SECONDS,
        "nginx after the reboot",
    )
