"""Fixtures of the tests of what an update asks Kubernetes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.update import fetch, kube
from tests.unit.update import machine
from tests.unit.update.apiserver import ApiServer, make_pki
from tests.updates.bundle import Bundle

NODE = "/api/v1/nodes/node-1"


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pki")
    make_pki(folder)
    return folder


@pytest.fixture
def api(pki: Path) -> Iterator[ApiServer]:
    server = ApiServer(pki)
    server.objects[NODE] = {
        "metadata": {"name": "node-1", "uid": "7", "labels": {"a": "b"}, "annotations": {}},
        "spec": {},
        "status": {"conditions": [{"type": "Ready", "status": "True"}]},
    }
    yield server
    server.close()


@pytest.fixture
def node_root(tmp_path: Path, api: ApiServer) -> Path:
    """The root of a node whose kubeconfig leads to `api`."""
    (tmp_path / "run/kubesolo/etc").mkdir(parents=True)
    (tmp_path / "run/kubesolo/etc/hostname").write_text("node-1\n")
    api.kubeconfig(tmp_path)
    return tmp_path


@pytest.fixture
def pods_root(node_root: Path) -> Path:
    """The same of one whose payload runs containers."""
    for name in (kube.RUNTIMES[0], "mnt/data/update/.keep"):
        (node_root / name).parent.mkdir(parents=True, exist_ok=True)
        (node_root / name).touch()
    return node_root


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> machine.FakeNode:
    """A node with two slots, in folders."""
    monkeypatch.setattr(fetch, "FIRST_PAUSE_SECONDS", 0.001)
    return machine.make(tmp_path / "node", monkeypatch)


@pytest.fixture
def served(tmp_path: Path) -> Bundle:
    """Version 0.2.0, in a folder."""
    return Bundle(tmp_path / "served").add("0.2.0", machine.NEW)
