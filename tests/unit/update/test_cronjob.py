"""The CronJob needs nothing that a node has not, and the published copy is the node's."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tasks.lib.debian import tools
from tasks.lib.paths import TOP
from tasks.lib.release.imagenames import reference

SHIPPED = TOP / "overlay/usr/lib/kubesolo-os/manifests/update-cronjob.yaml"
PUBLISHED = TOP / "docs/examples/kubernetes/update-cronjob.yaml"


@pytest.fixture
def job() -> dict[str, Any]:
    found = yaml.safe_load(SHIPPED.read_text())
    assert (found["apiVersion"], found["kind"]) == ("batch/v1", "CronJob")
    spec: dict[str, Any] = found["spec"]
    return spec


@pytest.fixture
def pod(job: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = job["jobTemplate"]["spec"]["template"]["spec"]
    return found


def test_the_published_one_is_the_shipped_one() -> None:
    assert PUBLISHED.read_bytes() == SHIPPED.read_bytes()


def test_never_two_at_once_and_every_six_hours(job: dict[str, Any]) -> None:
    assert job["schedule"] == "0 */6 * * *"
    assert job["concurrencyPolicy"] == "Forbid"
    assert job["jobTemplate"]["spec"]["activeDeadlineSeconds"] < 6 * 3600


def test_the_image_is_one_that_every_node_has(pod: dict[str, Any]) -> None:
    (container,) = pod["containers"]
    assert container["image"] == reference("pause")
    assert container["imagePullPolicy"] == "Never"
    assert pod["hostPID"]
    assert container["volumeMounts"] == [{"name": "usr", "mountPath": "/usr", "readOnly": True}]


@pytest.mark.parametrize(("status", "expected"), [(0, 0), (3, 0), (1, 1), (6, 6)])
def test_the_command_starts_the_updater_of_the_node(
    pod: dict[str, Any], tmp_path: Path, status: int, expected: int
) -> None:
    """With the node's BusyBox, but for the namespaces."""
    (container,) = pod["containers"]
    busybox = tools.tree("tools") / "usr/bin/busybox"
    fake = tmp_path / "busybox"
    fake.write_text(f'#!{busybox} sh\necho "$@" >>{tmp_path}/calls\n[ "$1" = sleep ] || exit {status}\n')
    fake.chmod(0o755)
    program, shell, option, script, name = container["command"]
    assert [program, shell, option] == ["/usr/bin/busybox", "sh", "-c"]
    words = [busybox, shell, option, script.replace(program, str(fake)), name, *container["args"]]
    done = subprocess.run(words, env={"PATH": os.defpath}, check=False, timeout=60)
    assert done.returncode == expected
    slept, started = (tmp_path / "calls").read_text().splitlines()
    assert 0 <= int(slept.split()[1]) < 1800
    assert started == "nsenter -t 1 -m -u -i -n -p -- /usr/bin/kubesolo-update apply --activate"


def test_the_job_for_now_is_the_same_without_waiting(pod: dict[str, Any]) -> None:
    now = yaml.safe_load(PUBLISHED.with_name("update-now.yaml").read_text())
    other = now["spec"]["template"]["spec"]
    waiting = pod["containers"][0]["command"][3].splitlines(keepends=True)
    assert "sleep" in waiting[0]
    pod["containers"][0]["command"][3] = "".join(waiting[1:])
    assert other == pod
