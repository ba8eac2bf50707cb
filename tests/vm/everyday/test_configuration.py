"""ConfigMaps, Secrets, projected volumes: what pods get, and how it follows a change."""

from __future__ import annotations

import json

import pytest

from tests.vm.everyday.conftest import MACHINE_SECONDS, Everyday

pytestmark = [pytest.mark.long, pytest.mark.timeout(MACHINE_SECONDS)]

# kubelet looks after a pod's volumes once a minute or so.
FOLLOW_SECONDS = 180


def running(everyday: Everyday) -> None:
    everyday.wait_pod("reads", lambda pod: pod["status"]["phase"] == "Running", "runs")


def test_a_pod_gets_its_settings(everyday: Everyday) -> None:
    running(everyday)
    got = everyday.shell(
        "reads",
        "echo $COLOUR $WORD ${ABSENT-nothing} $ADDRESS $LIMIT; cat /settings/colour; echo; "
        "cat /all/colour; echo; "
        "cat /all/note; echo; cat /single/colour; echo; stat -c %a /password/..data/word; cat /password/word",
    ).splitlines()
    address = everyday.pod("reads")["status"]["podIP"]
    assert got == [
        f"red sesame nothing {address} {64 << 20}", "red", "grey", "told", "red", "400", "sesame",
    ]  # fmt: skip


def test_a_token_is_for_its_audience(everyday: Everyday) -> None:
    running(everyday)
    token = everyday.shell("reads", "cat /all/token")
    review = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenReview",
        "spec": {"token": token, "audiences": ["somebody"]},
    }
    path = "/apis/authentication.k8s.io/v1/tokenreviews"
    answer = everyday.cluster.request("POST", path, json=review).json()["status"]
    assert answer["authenticated"], answer
    assert answer["user"]["username"] == "system:serviceaccount:default:default"
    review["spec"] = {"token": token}
    assert not everyday.cluster.request("POST", path, json=review).json()["status"].get("authenticated")


def test_changes_reach_a_running_pod(everyday: Everyday) -> None:
    """Volumes follow; variables and subPath mounts stay as they were; what is immutable is not changed."""
    running(everyday)
    kubectl = everyday.kubectl
    kubectl("patch", "configmap", "settings", "-p", json.dumps({"data": {"colour": "blue"}}))
    kubectl("patch", "secret", "password", "-p", json.dumps({"stringData": {"word": "mellon"}}))
    kubectl("annotate", "pod", "reads", "note=told again", "--overwrite")
    everyday.cluster.retry(
        lambda: everyday.shell("reads", "cat /settings/colour /password/word /all/note"),
        lambda text: text == "bluemellontold again",
        FOLLOW_SECONDS,
        "the changes in the pod",
    )
    assert everyday.shell("reads", "echo $COLOUR; cat /settings/kept /single/colour") == "red\nas it wasred"
    assert "immutable" in kubectl.refused("patch", "configmap", "fixed", "-p", '{"data": {"colour": "pink"}}')
