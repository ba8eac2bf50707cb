"""What a node bears: each function measures one thing on a Ready node. Only `pods` leaves anything behind.

They ask through QEMU's user network from the host, as a client elsewhere would.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import requests

from tasks.lib.bench.figures import slope, summary
from tasks.lib.bench.node import NODE_PORTS, Node
from tasks.lib.errors import BuildError
from tasks.lib.vm.hardware import LOOPBACK
from tasks.lib.vm.kube import Object, condition
from tasks.lib.vm.machine import Machine
from tasks.lib.vm.patience import stretched

DNS_READY = 8181
PODS = "/api/v1/namespaces/default/pods"
CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
NODES = "/api/v1/nodes"
POD_SECONDS = 120
STEP = 10
MOST_PODS = 400
STARTS = 50
OBJECTS = (10, 100, 1000)
GETS, LISTS = 50, 20
SERVICES = (1, 100, 500)
FLIPS = 10
SETTLE_SECONDS = 20


def timed(action: Callable[[], object]) -> float:
    """How many seconds an action takes."""
    before = time.monotonic()
    action()
    return time.monotonic() - before


def pods(node: Node) -> dict[str, Any]:
    """Pods are added by tens until ten of them do not become Ready."""
    ready, memory = 0, [node.used()]
    while ready < MOST_PODS:
        names = [f"p{number}" for number in range(ready, ready + STEP)]
        try:
            for name in names:
                node.cluster.apply(node.pod(name))
            for name in names:
                wait_pod(node, name)
            memory.append(node.used())
        except BuildError as error:
            return {"pods": count_ready(node, ready), "memory": memory, "limit": reason(node, error)}
        ready += STEP
        node.say(f"{ready} pods, {memory[-1]:.0f} MiB in use")
    return {"pods": ready, "memory": memory, "limit": f"the measurement ends at {MOST_PODS}"}


def wait_pod(node: Node, name: str) -> None:
    """Until it is Ready, or can never be."""
    node.cluster.wait(
        f"{PODS}/{name}",
        lambda pod: condition(pod, "Ready") or refused(pod) != "",
        POD_SECONDS,
        f"{name} Ready",
    )
    if why := refused(node.cluster.get(f"{PODS}/{name}")):
        raise BuildError(why)


def refused(pod: Object) -> str:
    """Why a pod will not run: no room, by the scheduler, or ended by the node; "" when it may."""
    status = pod.get("status", {})
    if status.get("phase") == "Failed":
        return str(status.get("message") or status.get("reason") or "the pod has failed")
    for row in status.get("conditions", []):
        if (
            row["type"] == "PodScheduled"
            and row["status"] == "False"
            and row.get("reason") == "Unschedulable"
        ):
            return str(row.get("message", "unschedulable"))
    return ""


def count_ready(node: Node, least: int) -> int:
    """How many pods are Ready now; `least` when nobody answers."""
    try:
        return sum(condition(pod, "Ready") for pod in node.cluster.get(PODS)["items"])
    except BuildError:
        return least


def reason(node: Node, error: BuildError) -> str:
    """What gave: the node's own word where it has one, else what the waiting ended with."""
    try:
        [this] = node.cluster.get(NODES)["items"]
        pressed = [row["type"] for row in this["status"]["conditions"] if pressure(row)]
    except (BuildError, ValueError, KeyError):
        return "the API server does not answer any more"
    return f"the node says {', '.join(pressed)}" if pressed else error.what.partition(";")[0][:160]


def pressure(row: Object) -> bool:
    """Whether a condition of the node says that it has too little of something."""
    return str(row["type"]).endswith("Pressure") and row["status"] == "True"


def start(node: Node) -> dict[str, Any]:
    """From asking for a pod until it is Ready, one after the other."""
    seconds = []
    for number in range(STARTS):
        name = f"s{number}"
        began = time.monotonic()
        node.cluster.apply(node.pod(name))
        wait_pod(node, name)
        seconds.append(time.monotonic() - began)
        node.cluster.delete(node.pod(name))
        if len(seconds) % STEP == 0:
            node.say(f"{len(seconds)} starts: {json.dumps(summary(seconds))}")
    return {"seconds": summary(seconds)}


def api(node: Node) -> dict[str, Any]:
    """Writing, reading and listing objects of 1 KiB, when there are so many of them."""
    found: dict[str, Any] = {}
    made = 0
    for count in OBJECTS:
        names = [f"c{number}" for number in range(made, count)]
        made = count
        creates = [timed(partial(node.cluster.apply, config_map(name))) for name in names]
        path = f"{CONFIG_MAPS}/{names[-1]}"
        found[str(count)] = {
            "create": summary(creates),
            "get": summary([timed(partial(node.cluster.get, path)) for _ in range(GETS)]),
            "list": summary([timed(partial(node.cluster.get, CONFIG_MAPS)) for _ in range(LISTS)]),
        }
        node.say(f"{count} objects: {json.dumps(found[str(count)])}")
    node.cluster.request("DELETE", CONFIG_MAPS)
    return {"objects": found}


def config_map(name: str) -> Object:
    """An object of a little more than 1 KiB."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name},
        "data": {"text": "x" * 1024},
    }


def cycles(node: Node) -> dict[str, Any]:
    """Memory while pods come and go by tens; it is flat when the second half does not grow."""
    points: list[tuple[float, float]] = []
    for done in range(0, node.cycles, STEP):
        names = [f"m{number}" for number in range(done, done + STEP)]
        for name in names:
            node.cluster.apply(node.pod(name))
        for name in names:
            wait_pod(node, name)
        for name in names:
            node.cluster.delete(node.pod(name))
        wait_gone(node)
        if (done + STEP) % (5 * STEP) == 0:
            time.sleep(SETTLE_SECONDS)
            points.append((done + STEP, node.used()))
            node.say(f"{done + STEP} cycles, {points[-1][1]:.1f} MiB in use")
    late = points[len(points) // 2 :]
    return {"cycles": node.cycles, "memory": points, "kib_per_cycle": slope(late) * 1024}


def wait_gone(node: Node) -> None:
    """Until there is no pod any more."""
    deadline = time.monotonic() + stretched(POD_SECONDS)
    while left := node.cluster.get(PODS)["items"]:
        if time.monotonic() > deadline:
            raise BuildError(f"{len(left)} pods are still there")
        time.sleep(1)


def services(node: Node) -> dict[str, Any]:
    """From changing a Service's node port until cluster DNS answers there, among so many Services."""
    found: dict[str, Any] = {}
    made = 0
    for count in SERVICES:
        for number in range(made + 1, count):
            node.cluster.apply(service(f"other{number}", None))
        made = count - 1
        seconds = []
        for number in range(FLIPS):
            port = NODE_PORTS[number % 2]
            began = time.monotonic()
            node.cluster.apply(service("flip", port))
            wait_answer(node.machine.port(port))
            seconds.append(time.monotonic() - began)
        found[str(count)] = summary(seconds)
        node.say(f"{count} Services: {json.dumps(found[str(count)])}")
    for name in ("flip", *(f"other{number}" for number in range(1, made + 1))):
        node.cluster.delete(service(name, None))
    return {"services": found}


def service(name: str, node_port: int | None) -> Object:
    """A Service of cluster DNS' own health port, with or without a port of the node."""
    port = {"name": "ready", "port": 80, "targetPort": DNS_READY, "protocol": "TCP"}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "kube-system"},
        "spec": {
            "type": "NodePort" if node_port else "ClusterIP",
            "selector": {"k8s-app": "kube-dns"},
            "ports": [{**port, **({"nodePort": node_port} if node_port else {})}],
        },
    }


def wait_answer(port: int) -> None:
    """Until somebody answers 200 there."""
    deadline = time.monotonic() + stretched(POD_SECONDS)
    with requests.Session() as session:
        session.trust_env = False
        while time.monotonic() < deadline:
            try:
                if session.get(f"http://{LOOPBACK}:{port}/ready", timeout=2).status_code == 200:
                    return
            except requests.RequestException:
                time.sleep(0.02)
    raise BuildError(f"nobody answers on port {port}")


def disk(node: Node) -> dict[str, Any]:
    """What a node on which nothing happens writes to its disk."""
    time.sleep(3 * SETTLE_SECONDS)
    before = written(node.machine)
    time.sleep(node.idle)
    megabytes = (written(node.machine) - before) / 1e6
    return {"mb_per_minute": megabytes / node.idle * 60, "seconds": node.idle}


def written(machine: Machine) -> int:
    """Bytes that the guest has written to all of its disks."""
    return sum(row["stats"]["wr_bytes"] for row in machine.monitor.execute("query-blockstats"))
