from __future__ import annotations

import pytest
import yaml

from tasks.lib.errors import BuildError
from tasks.lib.vm.kube import Cluster, condition, for_host, path_of

ADMIN = {
    "clusters": [{"name": "node", "cluster": {"server": "https://10.0.2.15:6443"}}],
    "users": [{"name": "admin", "user": {"client-certificate-data": "not base64!"}}],
}


def test_kubeconfig_for_the_host() -> None:
    cluster = yaml.safe_load(for_host(yaml.safe_dump(ADMIN), 7000))["clusters"][0]["cluster"]
    assert cluster == {"server": "https://127.0.0.1:7000", "tls-server-name": "kubernetes"}


@pytest.mark.parametrize("text", ["", "- a", "clusters: [1]", "{"])
def test_not_a_kubeconfig(text: str) -> None:
    with pytest.raises(BuildError, match="not a kubeconfig"):
        for_host(text, 1)


def test_kubeconfig_without_certificates() -> None:
    with pytest.raises(BuildError, match="embedded 'certificate-authority-data'"):
        Cluster(yaml.safe_dump(ADMIN), 1)


def test_paths() -> None:
    deployment = {"kind": "Deployment", "metadata": {"name": "web"}}
    assert path_of(deployment) == "/apis/apps/v1/namespaces/default/deployments/web"
    pod = {"kind": "Pod", "metadata": {"name": "a", "namespace": "b"}}
    assert path_of(pod) == "/api/v1/namespaces/b/pods/a"


def test_condition() -> None:
    node = {"status": {"conditions": [{"type": "Ready", "status": "True"}, {"type": "X", "status": "False"}]}}
    assert condition(node, "Ready")
    assert not condition(node, "X")
    assert not condition({}, "Ready")
