"""What a version is judged by: each thing that can be wrong is found and named, and well has to last."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from agent.update import drain, health
from tests.unit.update.apiserver import ApiServer
from tests.unit.update.conftest import NODE
from tests.unit.update.test_drain import Clock

LEASE = f"{health.LEASES}/node-1"
LONG_AGO = "2026-01-01T00:00:00Z"


def serve_once(path: Path, answer: bytes) -> threading.Thread:
    """A socket that answers everybody with some bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    server.bind(str(path))
    server.listen(64)

    def run() -> None:
        while True:
            connection, _ = server.accept()
            with connection:
                connection.recv(64)
                connection.sendall(answer)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


SETTINGS = bytes((0, 0, 6, 4, 0, 0, 0, 0, 0)) + bytes((0, 5, 0, 0, 64, 0))


def pod(name: str, phase: str = "Running", ready: str = "True", since: str = LONG_AGO) -> dict[str, Any]:
    status = {"phase": phase, "conditions": [{"type": "Ready", "status": ready, "lastTransitionTime": since}]}
    return {"metadata": {"name": name}, "status": status}


@pytest.fixture
def well(pods_root: Path, api: ApiServer) -> Path:
    """A node with which nothing is wrong; its kubelet renews the lease at every look."""
    serve_once(pods_root / health.CONTAINERD, SETTINGS)
    api.answers["GET", "/readyz"] = (200, "ok")
    api.objects[health.PODS] = {"items": [pod("coredns-1")]}
    api.answers["GET", LEASE] = lambda body: (200, {"spec": {"renewTime": str(len(api.requests))}})
    return pods_root


def test_a_node_that_is_well_has_no_failures(well: Path) -> None:
    assert health.check(well, {}) == []
    assert not list((well / "mnt/data").glob(".*probe*"))


def not_ready(api: ApiServer) -> None:
    api.answers["GET", "/readyz"] = (500, "etcd failed: reason withheld")


def node_not_ready(api: ApiServer) -> None:
    api.objects[NODE]["status"]["conditions"] = [
        {"type": "Ready", "status": "False", "message": "no network"}
    ]


def pod_waits(api: ApiServer) -> None:
    found = pod("a", "Pending", "False")
    found["status"]["containerStatuses"] = [{"state": {"waiting": {"reason": "ImagePullBackOff"}}}]
    api.objects[health.PODS] = {"items": [found]}


def pod_unready(api: ApiServer) -> None:
    api.objects[health.PODS] = {"items": [pod("a", ready="False")]}


def pod_fresh(api: ApiServer) -> None:
    since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 12))
    api.objects[health.PODS] = {"items": [pod("a", since=since)]}


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (not_ready, "the API server is not ready: GET /readyz: 500 etcd failed: reason withheld"),
        (node_not_ready, "the node is not Ready: no network"),
        (pod_waits, "pod a is Pending: ImagePullBackOff"),
        (pod_unready, "pod a is not Ready"),
        (pod_fresh, "pod a has been Ready for 1"),
    ],
)
def test_what_is_wrong_is_named(
    well: Path, api: ApiServer, spoil: Callable[[ApiServer], None], words: str
) -> None:
    spoil(api)
    (failure,) = health.check(well, {})
    assert failure.startswith(words)


def test_pods_that_end_or_belong_to_a_job_say_nothing(well: Path, api: ApiServer) -> None:
    leaving = pod("a", "Pending")
    leaving["metadata"]["deletionTimestamp"] = LONG_AGO
    job = pod("b", "Failed")
    job["metadata"]["ownerReferences"] = [{"kind": "Job"}]
    api.objects[health.PODS] = {"items": [leaving, job, pod("c", "Succeeded")]}
    assert health.check(well, {}) == []


def test_a_clock_that_was_set_back_does_not_make_pods_young(well: Path, api: ApiServer) -> None:
    api.objects[health.PODS] = {"items": [pod("a", since="2090-01-01T00:00:00Z"), pod("b", since="?")]}
    assert health.check(well, {}) == []


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 400 Bad Request\r\n"])
def test_a_socket_where_no_containerd_answers(pods_root: Path, answer: bytes) -> None:
    serve_once(pods_root / health.CONTAINERD, answer)
    assert health.containerd(pods_root) == "containerd does not answer as one"


def test_no_containerd_at_all(pods_root: Path) -> None:
    assert health.containerd(pods_root) == "containerd does not answer: No such file or directory"


def test_a_data_partition_that_takes_no_writes(tmp_path: Path) -> None:
    assert health.check(tmp_path, {}) == ["the data partition takes no write: No such file or directory"]


def test_a_payload_without_pods_is_judged_by_its_disk_alone(node_root: Path, api: ApiServer) -> None:
    (node_root / "mnt/data").mkdir(parents=True)
    assert health.check(node_root, {}) == []
    assert api.requests == []


@pytest.fixture
def web() -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(int(self.path.strip("/")))
            self.send_header("Location", "/200")
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(("status", "words"), [("200", ""), ("204", "answers 204"), ("302", "answers 302")])
def test_a_probe_url_has_to_answer_200_itself(web: str, status: str, words: str) -> None:
    assert health.probe(f"{web}/{status}").endswith(words)
    assert bool(health.probe(f"{web}/{status}")) is bool(words)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "http://127.0.0.1:9/", "http://[", "https://a:b/"])
def test_a_probe_url_that_is_no_use_is_a_failure(url: str) -> None:
    assert health.probe(url)


def test_well_has_to_last(well: Path) -> None:
    clock = Clock()
    assert health.wait(well, {}, 600, clock.now, clock.sleep) == []
    assert health.STEADY <= clock.time < health.STEADY + 10


def running(name: str, container: str, ready: str = "True") -> dict[str, Any]:
    """A pod whose container runs."""
    found = pod(name, ready=ready)
    found["status"]["containerStatuses"] = [
        {"containerID": container, "state": {"running": {"startedAt": LONG_AGO}}}
    ]
    return found


class Story(Clock):
    """A clock at which things happen: what is due at a time is done when it has come."""

    def __init__(self, events: dict[float, Callable[[], None]]) -> None:
        super().__init__()
        self.events = dict(events)

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        for due in [due for due in self.events if due <= self.time]:
            self.events.pop(due)()


def test_pods_run_while_the_rest_is_still_coming_up(well: Path, api: ApiServer) -> None:
    """The 30 s begin with the containers: a node needs not be as long again after its last component."""
    not_ready(api)
    api.objects[health.PODS] = {"items": [running("a", "1", ready="False")]}

    def ready() -> None:
        api.answers["GET", "/readyz"] = (200, "ok")
        api.objects[health.PODS] = {"items": [running("a", "1")]}

    clock = Story({20: ready})
    assert health.wait(well, {}, 600, clock.now, clock.sleep) == []
    assert health.STEADY <= clock.time <= health.STEADY + 1


def test_a_container_that_restarts_has_to_run_as_long_again(well: Path, api: ApiServer) -> None:
    api.objects[health.PODS] = {"items": [running("a", "1")]}
    clock = Story({20: lambda: api.objects.update({health.PODS: {"items": [running("a", "2")]}})})
    assert health.wait(well, {}, 600, clock.now, clock.sleep) == []
    assert clock.time >= 20 + health.STEADY


def test_what_goes_wrong_once_more_has_to_be_well_as_long_again(well: Path, api: ApiServer) -> None:
    clock = Story(
        {10: lambda: not_ready(api), 20: lambda: api.answers.update({("GET", "/readyz"): (200, "ok")})}
    )
    assert health.wait(well, {}, 600, clock.now, clock.sleep) == []
    assert clock.time >= 20 + health.STEADY - health.PAUSE


def test_what_is_watched_for_so_long_needs_no_age(well: Path, api: ApiServer) -> None:
    """A trial is not held up twice: by its pods' age and by the time that it is looked at."""
    api.objects[health.PODS] = {"items": [pod("a", since=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))]}
    clock = Clock()
    assert health.wait(well, {}, 600, clock.now, clock.sleep) == []
    assert clock.time < health.STEADY + 10


def test_at_the_deadline_the_failures_are_returned(well: Path, api: ApiServer) -> None:
    node_not_ready(api)
    clock = Clock()
    assert health.wait(well, {}, 30, clock.now, clock.sleep) == ["the node is not Ready: no network"]
    assert 30 <= clock.time < 40


def test_well_for_too_short_a_time_is_not_well(well: Path) -> None:
    clock = Clock()
    assert health.wait(well, {}, 20, clock.now, clock.sleep) == ["well, but not for 30 s yet"]


def test_what_was_true_before_the_boot_does_not_count(well: Path, api: ApiServer) -> None:
    """A dead kubelet leaves a node and pods that look well."""
    api.answers["GET", LEASE] = (200, {"spec": {"renewTime": "before"}})
    clock = Clock()
    assert health.wait(well, {}, 60, clock.now, clock.sleep) == ["kubelet has not renewed its lease"]


def test_a_cluster_without_leases_is_not_held_up(well: Path, api: ApiServer) -> None:
    api.answers["GET", LEASE] = (404, {})
    clock = Clock()
    assert health.wait(well, {}, 600, clock.now, clock.sleep) == []


def test_pods_may_come_back_before_they_are_judged(well: Path, api: ApiServer) -> None:
    drain.cordon(well)
    clock = Clock()
    assert health.wait(well, {}, 600, clock.now, clock.sleep) == []
    assert api.objects[NODE]["spec"] == {}


def test_the_command_prints_one_line_for_each_failure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert health.main(["1", "ftp://a"], tmp_path) == 1
    assert len(capsys.readouterr().out.splitlines()) == 2
    assert health.main(["soon"], tmp_path) == 2
