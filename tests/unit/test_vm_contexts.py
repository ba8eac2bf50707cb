"""`./doit kubeconfig --merge`: one context more in kubectl's file, and nothing else changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tasks.lib.engine.command import command
from tasks.lib.errors import BuildError
from tasks.lib.vm import contexts, session

ADMIN = """apiVersion: v1
kind: Config
clusters:
- name: kubesolo
  cluster: {server: "https://127.0.0.1:6443", tls-server-name: kubernetes, certificate-authority-data: QUJD}
users:
- name: admin
  user: {client-certificate-data: QUJD, client-key-data: SECRET}
contexts:
- name: admin@kubesolo
  context: {cluster: kubesolo, user: admin}
current-context: admin@kubesolo
"""
OTHER = """# mine
apiVersion: v1
kind: Config
current-context: production
preferences: {}
contexts:
- context: {cluster: production, user: me, namespace: web}
  name: production
clusters:
- name: production
  cluster:
    server: https://prod.example
    insecure-skip-tls-verify: true
users:
- name: me
  user:
    token: 0012
    auth-provider: {name: x, config: {expiry: 2026-01-01T00:00:00Z, id: 1e3, same: yes}}
    exec: {apiVersion: client.authentication.k8s.io/v1, command: get, args: ["no", off]}
"""


def names(document: dict[str, list[dict[str, object]]], section: str) -> list[object]:
    return [entry["name"] for entry in document[section]]


def test_new_file_has_the_context_and_uses_it(tmp_path: Path) -> None:
    path = tmp_path / "new" / "config"
    assert contexts.merge(path, ADMIN)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    found = yaml.safe_load(path.read_text())
    assert (found["apiVersion"], found["kind"], found["current-context"]) == ("v1", "Config", "kubesolo-dev")
    assert found["contexts"] == [
        {"name": "kubesolo-dev", "context": {"cluster": "kubesolo-dev", "user": "kubesolo-dev"}}
    ]
    assert found["clusters"][0]["cluster"]["tls-server-name"] == "kubernetes"
    assert found["users"][0]["user"]["client-key-data"] == "SECRET"


def test_other_entries_stay_as_they_are_written(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text(OTHER)
    path.chmod(0o644)
    assert not contexts.merge(path, ADMIN)
    text = path.read_text()
    found, before = yaml.safe_load(text), yaml.safe_load(OTHER)
    for section in contexts.SECTIONS:
        assert found[section][:-1] == before[section]
        assert found[section][-1]["name"] == "kubesolo-dev"
    assert found["current-context"] == "production"
    for part in ("expiry: 2026-01-01T00:00:00Z", "id: 1e3", "token: 0012", "same: yes", '- "no"', "- off"):
        assert part in text, "a value that another reader of YAML may take for something else"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["config"]


def test_second_time_takes_the_place_of_the_first(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text(OTHER)
    contexts.merge(path, ADMIN)
    contexts.merge(path, ADMIN.replace(":6443", ":6444"))
    found = yaml.safe_load(path.read_text())
    for section in contexts.SECTIONS:
        assert names(found, section) == [*names(yaml.safe_load(OTHER), section), "kubesolo-dev"]
    assert found["clusters"][-1]["cluster"]["server"] == "https://127.0.0.1:6444"


@pytest.mark.parametrize(
    "text", ["", "\n", "apiVersion: v1\nkind: Config\nclusters: null\nusers: []\ncurrent-context: ''\n"]
)
def test_file_without_entries(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config"
    path.write_text(text)
    assert contexts.merge(path, ADMIN)
    assert names(yaml.safe_load(path.read_text()), "contexts") == ["kubesolo-dev"]


@pytest.mark.parametrize(
    "text",
    [
        "clusters: [",
        "just words",
        "- a\n- list",
        "kind: Pod\n",
        "clusters: {a: b}\n",
        "users: [me]\n",
        "a: 1\n---\nb: 2\n",
        "\x00",
        "key: \udcff",
    ],
)
def test_broken_file_is_refused_untouched(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config"
    content = text.encode(errors="surrogateescape")
    path.write_bytes(content)
    before = path.stat()
    with pytest.raises(BuildError, match="is no kubeconfig"):
        contexts.merge(path, ADMIN)
    assert path.read_bytes() == content
    assert (path.stat().st_ino, path.stat().st_mode) == (before.st_ino, before.st_mode)
    assert [entry.name for entry in tmp_path.iterdir()] == ["config"]


def test_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").write_text(OTHER)
    (tmp_path / "config").symlink_to("real")
    contexts.merge(tmp_path / "config", ADMIN)
    assert (tmp_path / "config").is_symlink()
    assert "kubesolo-dev" in (tmp_path / "real").read_text()


def test_file_is_the_one_that_kubectl_uses(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    assert contexts.default_file({"HOME": "/home/me"}) == Path("/home/me/.kube/config")
    assert contexts.default_file({"HOME": "/home/me", "KUBECONFIG": f"{first}:{second}"}) == second
    second.touch()
    first.touch()
    assert contexts.default_file({"KUBECONFIG": f":{first}:{second}"}) == first


def merged(*words: str) -> object:
    plugin: Any = command("kubeconfig")
    return plugin.execute({"timeout": 1, "print": False, "merge": True}, list(words))


def test_command_says_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(session, "FOLDER", tmp_path)
    monkeypatch.setattr(session, "missing", lambda: "")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "mine"))
    session.kubeconfig().write_text(ADMIN)
    assert merged() == 0
    assert capsys.readouterr().out == f"{tmp_path}/mine: has the context kubesolo-dev\n"
    (tmp_path / "other").write_text(OTHER)
    assert merged(str(tmp_path / "other")) == 0
    assert "use it with kubectl --context kubesolo-dev" in capsys.readouterr().out
    with pytest.raises(BuildError, match="one FILE"):
        merged("a", "b")
