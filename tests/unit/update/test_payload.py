"""How a payload is that does not say so itself: by what the API server says."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from agent import payload
from agent.update import kube
from tests.unit.update.apiserver import ApiServer
from tests.unit.update.conftest import NODE

ALL = ["apiserver-listening", "readyz", "node-ready", "kube-proxy-synced", "coredns-running"]


@pytest.fixture
def well(node_root: Path, api: ApiServer, monkeypatch: pytest.MonkeyPatch) -> Path:
    api.answers["GET", "/readyz"] = (200, "ok")
    boot = node_root / payload.BOOT_ID
    boot.parent.mkdir(parents=True, exist_ok=True)
    boot.write_text("this\n")
    api.objects[NODE]["status"]["nodeInfo"] = {"bootID": "this"}
    api.objects["/api/v1/nodes"] = {"items": [api.objects[NODE]]}
    api.objects[payload.PODS] = {"items": [dns("coredns-7f-x", "True")]}
    monkeypatch.setattr(payload, "proxy_synced", lambda: True)
    return node_root


def dns(name: str, ready: str, **labels: str) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "labels": labels},
        "status": {"conditions": [{"type": "Ready", "status": ready}]},
    }


def test_well(well: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert payload.look(well) == ("ok", ALL)
    assert payload.main([str(well)]) == 0
    assert capsys.readouterr().out.splitlines() == ["ok", *ALL]


def test_the_first_trouble_is_named_and_the_others_milestones_count(well: Path, api: ApiServer) -> None:
    api.objects["/api/v1/nodes"] = {"items": [{"status": {"conditions": None}}]}
    assert payload.look(well) == ("the node is not Ready", [name for name in ALL if name != "node-ready"])
    api.objects[payload.PODS] = {"items": [dns("other", "True")]}
    assert payload.look(well)[0] == "the node is not Ready"


def test_what_a_node_said_before_a_reboot_does_not_count(well: Path) -> None:
    (well / payload.BOOT_ID).write_text("another\n")
    assert payload.look(well) == ("the node is not Ready", [name for name in ALL if name != "node-ready"])


def test_dns_goes_by_its_label_too(well: Path, api: ApiServer) -> None:
    api.objects[payload.PODS] = {"items": [dns("dns-1", "True", **{"k8s-app": "kube-dns"})]}
    assert payload.look(well) == ("ok", ALL)
    api.objects[payload.PODS] = {"items": [dns("dns-1", "False", **{"k8s-app": "kube-dns"})]}
    assert payload.look(well) == ("cluster DNS is not Ready", ALL[:-1])


def test_an_api_server_that_is_not_ready_listens(well: Path, api: ApiServer) -> None:
    api.answers["GET", "/readyz"] = (500, "etcd failed")
    words, passed = payload.look(well)
    assert passed == ALL[:1]
    assert "500" in words


def test_nothing_answers(well: Path, api: ApiServer) -> None:
    api.close()
    words, passed = payload.look(well)
    assert passed == []
    assert "does not answer" in words


def test_no_kubeconfig_yet(tmp_path: Path) -> None:
    assert payload.look(tmp_path)[1] == []


def test_kube_proxy_is_asked_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/healthz" else 503)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for path, synced in (("/healthz", True), ("/other", False)):
            monkeypatch.setattr(payload, "PROXY", ("127.0.0.1", server.server_port, path))
            assert payload.proxy_synced() is synced
        server.shutdown()
    assert payload.proxy_synced() is False


def test_a_payload_that_has_its_shim_in_itself_runs_pods(tmp_path: Path) -> None:
    """Or an update would neither drain it nor ask whether its pods are well."""
    assert not kube.runs_pods(tmp_path)
    program = tmp_path / "usr/libexec/kubesolo/kubesolo"
    program.parent.mkdir(parents=True)
    program.touch()
    assert kube.runs_pods(tmp_path)
