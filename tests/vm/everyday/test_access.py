"""kubectl's ways into a pod: exec, attach, logs, port-forward, cp, debug."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

import pytest
import requests

from tasks.lib.vm.hardware import LOOPBACK
from tasks.lib.vm.machine import free_port
from tests.vm import web
from tests.vm.everyday.conftest import MACHINE_SECONDS, POD_SECONDS, Everyday
from tests.vm.kubectl import lines_until

pytestmark = [pytest.mark.long, pytest.mark.timeout(MACHINE_SECONDS)]

FILE_BYTES = 3 << 20


def test_exec_hands_on_input_output_and_status(everyday: Everyday) -> None:
    everyday.wait_pod("asks", lambda pod: pod["status"]["phase"] == "Running", "runs")
    kubectl = everyday.kubectl
    echoed = kubectl.run("exec", "-i", "asks", "--", "sh", "-c", "cat; echo err >&2; exit 7", text="in")
    assert (echoed.stdout, echoed.stderr.splitlines()[0], echoed.returncode) == ("in", "err", 7)


def test_attach_reaches_a_running_container(everyday: Everyday) -> None:
    everyday.wait_pod("talks", lambda pod: pod["status"]["phase"] == "Running", "runs")
    with everyday.kubectl.running("attach", "-i", "talks", "-c", "hears") as child:
        assert child.stdin is not None
        child.stdin.write("hello\n")
        child.stdin.flush()
        assert "heard hello" in lines_until(child, "heard hello", 60)


def test_logs_are_followed_and_cut(everyday: Everyday) -> None:
    with everyday.kubectl.running("logs", "-f", "talks", "-c", "counts") as child:
        text = lines_until(child, "number 8", 120)
    assert text.startswith("number 0\n")
    tail = everyday.kubectl("logs", "talks", "-c", "counts", "--tail=3", "--timestamps").splitlines()
    assert len(tail) == 3
    assert all(re.match(r"\d{4}-\d\d-\d\dT\S+Z number \d+$", line) for line in tail), tail
    both = everyday.kubectl("logs", "talks", "--all-containers", "--prefix")
    assert "[pod/talks/hears] heard hello" in both


def test_port_forward_to_a_pod_and_a_service(everyday: Everyday) -> None:
    everyday.kubectl("rollout", "status", "deployment/site", "--timeout=10m", timeout=POD_SECONDS)
    for thing, port in (("pod/at-the-node", 80), ("service/site", 80)):
        mine = free_port()
        with (
            everyday.kubectl.running("port-forward", thing, f"{mine}:{port}") as child,
            requests.Session() as session,
        ):
            lines_until(child, "Forwarding from 127.0.0.1", 60)
            session.trust_env = False
            for _ in range(3):
                assert web.PAGE in session.get(f"http://{LOOPBACK}:{mine}/", timeout=30).text


def test_files_are_copied_both_ways(everyday: Everyday, tmp_path: Path) -> None:
    sent, back = tmp_path / "sent", tmp_path / "back"
    sent.write_bytes(os.urandom(FILE_BYTES))
    everyday.kubectl("cp", sent, "asks:/tmp/file", timeout=120)
    digest = hashlib.sha256(sent.read_bytes()).hexdigest()
    assert digest in everyday.shell("asks", "sha256sum /tmp/file")
    everyday.kubectl("cp", "asks:/tmp/file", back, timeout=120)
    assert back.read_bytes() == sent.read_bytes()


def test_a_pod_is_debugged_from_beside(everyday: Everyday) -> None:
    """By an ephemeral container in its namespaces, which sees its processes, and by a copy of it."""
    image = everyday.pod("asks")["spec"]["containers"][0]["image"]
    kubectl = everyday.kubectl
    words = ("--image", image, "--image-pull-policy=Never", "--quiet", "--profile=general", "--attach=false")
    script = "wget -q -T 10 -O - http://127.0.0.1/; cat /proc/1/comm"
    kubectl("debug", "at-the-node", *words, "--target=nginx", "-c", "beside", "--", "sh", "-c", script)
    log = everyday.wait_log("at-the-node", "nginx\n", "beside")
    assert web.PAGE in log, "the network is the pod's"
    kubectl("debug", "talks", *words, "--copy-to=copied", "--container=hears", "--", "echo", "copied")
    everyday.wait_log("copied", "copied", "hears")
    kubectl("delete", "pod", "copied", "talks", "--wait=false")


def test_the_node_is_debugged(everyday: Everyday) -> None:
    image = everyday.pod("asks")["spec"]["containers"][0]["image"]
    script = "busybox chroot /host cat /etc/hostname; hostname; id -u"  # a link to /run
    debug = everyday.kubectl.run(
        "debug", f"node/{everyday.node}", "--image", image, "--image-pull-policy=Never",
        "--profile=sysadmin", "--attach=false", "--", "sh", "-c", script,
    )  # fmt: skip
    found = re.search(r"node-debugger-\S+", debug.stdout + debug.stderr)
    assert found, debug
    name = found[0]
    host, own, uid = everyday.output(name).split()
    assert host == own == everyday.node
    assert uid == "0"
    everyday.kubectl("delete", "pod", name, "--wait=false")
