"""Webhooks: the API server asks a Service of the cluster whether, and how, something is created."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from cryptography import x509

from tasks.lib.vm.kube import condition
from tests.vm.everyday.conftest import MACHINE_SECONDS, POD_SECONDS, Everyday
from tests.vm.plant import authority

pytestmark = [pytest.mark.long, pytest.mark.timeout(MACHINE_SECONDS)]

JUDGE = Path(__file__).parent / "judge.yaml"
PATCH = [{"op": "add", "path": "/metadata/labels", "value": {"judged": "yes"}}]
CREATE = ("create", "configmap", "-n", "judged")
GREEN, PURPLE = ("green", "--from-literal=colour=green"), ("purple", "--from-literal=colour=purple")
DRY = ("--dry-run=server", "-o", "jsonpath={.metadata.labels.judged}")


def encoded(text: bytes) -> str:
    return base64.b64encode(text).decode()


def test_a_service_marks_and_refuses_what_is_created(everyday: Everyday, tmp_path: Path) -> None:
    kubectl = everyday.kubectl
    certificate, key = authority(tmp_path, x509.DNSName("judge.default.svc"))
    kubectl("create", "secret", "tls", "judge", "--cert", certificate, "--key", key)
    text = JUDGE.read_text().replace("@patch@", encoded(json.dumps(PATCH).encode()))
    everyday.apply(text.replace("@authority@", encoded(certificate.read_bytes())))
    everyday.wait_pod("judge", lambda pod: condition(pod, "Ready"), "ready")
    # The API server follows both configurations by watches.
    everyday.until(*CREATE, *GREEN, *DRY, wanted="yes")
    everyday.cluster.retry(
        lambda: kubectl.run(*CREATE, *PURPLE, *DRY).stderr,
        lambda said: 'admission webhook "judge.tests.kubesolo.io" denied the request: no purple here' in said,
        POD_SECONDS,
        "the refusal",
    )
    kubectl(*CREATE, *GREEN)
    kubectl("delete", "pod", "judge")
    # Without grace the pod is gone from the API before kubelet has ended it: until then it judges.
    everyday.cluster.retry(
        lambda: kubectl.run(*CREATE, "blue", "--dry-run=server").stderr,
        lambda said: 'failed calling webhook "mark.tests.kubesolo.io"' in said,
        POD_SECONDS,
        "no judge, no verdict",
    )
    refused = kubectl.refused(*CREATE, "blue")
    assert 'failed calling webhook "mark.tests.kubesolo.io"' in refused, "no judge, no verdict"
    kubectl("delete", "validatingwebhookconfiguration,mutatingwebhookconfiguration", "judge")
    everyday.until(*CREATE, "blue")
    kubectl("delete", "service,secret,configmap", "judge")
    kubectl("delete", "namespace", "judged", "--wait=false")
