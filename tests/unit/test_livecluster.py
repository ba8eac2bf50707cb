"""The Live CD's own script that makes clusters: what it has kubeadm read."""

from __future__ import annotations

import copy
import runpy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tasks.lib.paths import TOP

SCRIPT = TOP / "live/overlay/usr/lib/k8s-livecd/cluster"
INIT = {
    "apiVersion": "kubeadm.k8s.io/v1beta4",
    "kind": "InitConfiguration",
    "timeouts": {"kubernetesAPICall": "10m0s"},
    "nodeRegistration": {
        "criSocket": "unix:///run/containerd/containerd.sock",
        "taints": [],
        "kubeletExtraArgs": [{"name": "v", "value": "2"}, {"name": "node-ip", "value": "1.1.1.1"}],
    },
}
CLUSTER = {"apiVersion": "kubeadm.k8s.io/v1beta4", "kind": "ClusterConfiguration"}


@pytest.fixture(scope="module")
def cluster() -> Any:  # noqa: ANN401 (a module)
    return SimpleNamespace(**runpy.run_path(str(SCRIPT)))


def found(*documents: dict[str, Any]) -> list[dict[str, Any]]:
    return copy.deepcopy(list(documents))


def test_the_first_machine(cluster: Any) -> None:  # noqa: ANN401
    made, other = cluster.init_documents(found(INIT, CLUSTER), "192.168.77.1", "abcdef.0123456789abcdef")
    assert other == CLUSTER
    assert made["localAPIEndpoint"] == {"advertiseAddress": "192.168.77.1"}
    assert made["bootstrapTokens"][0]["token"] == "abcdef.0123456789abcdef"
    arguments = made["nodeRegistration"]["kubeletExtraArgs"]
    assert arguments == [{"name": "v", "value": "2"}, {"name": "node-ip", "value": "192.168.77.1"}]
    assert made["timeouts"] == INIT["timeouts"]


def test_a_single_machine_is_left_as_the_configuration_has_it(cluster: Any) -> None:  # noqa: ANN401
    assert cluster.init_documents(found(INIT, CLUSTER), "", "") == [INIT, CLUSTER]
    made, _ = cluster.init_documents(found(CLUSTER), "10.0.0.1", "")
    assert made["kind"] == "InitConfiguration"


def test_another_machine(cluster: Any) -> None:  # noqa: ANN401
    (made,) = cluster.join_documents(found(INIT, CLUSTER), "192.168.77.1:6443", "192.168.77.2", "a.b")
    assert made["kind"] == "JoinConfiguration"
    token = made["discovery"]["bootstrapToken"]
    assert (token["apiServerEndpoint"], token["token"]) == ("192.168.77.1:6443", "a.b")
    assert made["nodeRegistration"]["criSocket"] == "unix:///run/containerd/containerd.sock"
    assert {"name": "node-ip", "value": "192.168.77.2"} in made["nodeRegistration"]["kubeletExtraArgs"]
    assert made["timeouts"]["kubernetesAPICall"] == "10m0s"


@pytest.mark.parametrize("words", [[], ["leave"], ["join"], ["join", "host:6443"]])
def test_words_that_it_does_not_know_are_refused(cluster: Any, words: list[str]) -> None:  # noqa: ANN401
    with pytest.raises(SystemExit) as ended:
        cluster.read_arguments(words)
    assert ended.value.code == 2


def test_it_can_be_executed() -> None:
    assert Path(SCRIPT).stat().st_mode & 0o111


def test_what_happens_is_said_on_the_console_when_nobody_sees_it(
    cluster: Any,  # noqa: ANN401
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    console = tmp_path / "console"
    cluster.say.__globals__["CONSOLE"] = console
    cluster.say("kubeadm init begins")
    assert capsys.readouterr().out == "cluster: kubeadm init begins\n"
    assert console.read_text().strip() == "cluster: kubeadm init begins"
    cluster.say.__globals__["CONSOLE"] = tmp_path / "missing" / "console"
    cluster.say("kubeadm init has ended")
