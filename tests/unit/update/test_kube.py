"""The API server is asked with the node's own kubeconfig; what goes wrong is one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.update import kube
from agent.update.errors import UpdateError
from tests.unit.update.apiserver import ApiServer, make_pki
from tests.unit.update.conftest import NODE


def test_an_object_is_read_with_the_client_certificate(node_root: Path) -> None:
    found = kube.connect(node_root).get(NODE)
    assert found["metadata"]["name"] == "node-1"


def test_labels_of_this_node(node_root: Path) -> None:
    assert kube.node_labels(kube.connect(node_root), node_root) == {"a": "b"}


def test_a_merge_patch_changes_and_removes(node_root: Path, api: ApiServer) -> None:
    client = kube.connect(node_root)
    client.patch(NODE, {"metadata": {"labels": {"a": None, "c": "d"}}})
    assert kube.node_labels(client, node_root) == {"c": "d"}


def test_a_refusal_has_the_words_and_the_code_of_the_server(node_root: Path, api: ApiServer) -> None:
    api.answers["POST", "/x"] = (429, {"kind": "Status", "message": "budget\nviolated"})
    with pytest.raises(kube.KubeError, match=r"^POST /x: 429 budget violated$") as caught:
        kube.connect(node_root).post("/x", {})
    assert caught.value.code == 429
    assert isinstance(caught.value, UpdateError)


def test_a_server_of_another_authority_is_not_believed(
    node_root: Path, api: ApiServer, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    make_pki(other)
    stranger = ApiServer(other)
    try:
        api.kubeconfig(node_root, f"https://127.0.0.1:{stranger.port}")
        with pytest.raises(kube.KubeError, match="certificate verify failed"):
            kube.connect(node_root).get(NODE)
        assert stranger.requests == []
    finally:
        stranger.close()


def test_nobody_listening_is_said(node_root: Path, api: ApiServer) -> None:
    api.kubeconfig(node_root, "https://127.0.0.1:9")
    with pytest.raises(kube.KubeError, match="the API server does not answer") as caught:
        kube.connect(node_root).get(NODE)
    assert caught.value.code == 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: text.replace("client-key-data", "other"), "has no client-key-data"),
        (lambda text: text.replace("client-key-data: ", "client-key-data: !"), "is no use"),
        (lambda text: text.replace("https://", "http://"), "no https address"),
    ],
)
def test_a_kubeconfig_that_is_no_use_is_said(node_root: Path, change: object, words: str) -> None:
    path = node_root / kube.KUBECONFIG
    assert callable(change)
    path.write_text(change(path.read_text()))
    with pytest.raises(kube.KubeError, match=words):
        kube.connect(node_root)


def test_no_kubeconfig_is_said(tmp_path: Path) -> None:
    with pytest.raises(kube.KubeError, match="kubeconfig can not be read"):
        kube.connect(tmp_path)


def test_an_answer_that_is_no_json_is_refused(node_root: Path, api: ApiServer) -> None:
    api.answers["GET", "/x"] = (200, "[1]")
    with pytest.raises(kube.KubeError, match="no JSON object"):
        kube.connect(node_root).get("/x")
