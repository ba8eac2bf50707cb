"""The examples of the documentation are right for the node and for an editor, and do what they say."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from agent.config import source, tree
from agent.config.encoding import decode
from agent.config.keys import ROOT
from agent.config.problems import Problems
from agent.config.records import Record
from agent.config.render import render
from tasks import configdocs
from tasks.lib.paths import TOP
from tests.unit.config import editor
from tests.unit.config.test_render import settings

EXAMPLES = sorted((TOP / "docs" / "examples").glob("*.yaml"))
MADE = {
    "airgapped": ["airgap", "flags", "hostname", "network.sh", "ntp", "registries"],
    "dhcp": ["flags", "hostname", "network.sh", "ntp"],
    "portainer-edge": ["flags", "hostname", "network.sh", "payload.env"],
    "ssh": ["authorized_keys", "hostname", "kubeconfig-token", "network.sh"],
    "static-ip": ["hostname", "network.sh", "ntp"],
    "updates": ["hostname", "network.sh", "update.conf"],
    "two-cards": ["flags", "hostname", "network-2.sh", "network.sh"],
    "vlan": ["hostname", "network.sh"],
}


def files(path: Path) -> dict[str, str]:
    reading = source.read_file(path.name, path.read_bytes())
    assert [str(problem) for problem in reading.problems] == []
    assert reading.config is not None
    return {name: data.decode() for name, (data, _) in render(reading.config).items()}


def test_there_are_these_examples() -> None:
    assert [path.stem for path in EXAMPLES] == sorted(MADE)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example(path: Path) -> None:
    assert sorted(files(path)) == MADE[path.stem]
    node = tree.parse(decode(path.read_bytes()))
    assert [error.message for error in editor.validator().iter_errors(editor.plain(node))] == []


def test_netplans_form_of_the_vlan_is_the_same() -> None:
    path = TOP / "docs" / "examples" / "vlan.yaml"
    netplan = path.read_text().partition("# network:\n")[2]
    netplan = "network:\n" + netplan.replace("\n# ", "\n").removeprefix("# ")
    other = source.read_file("f", f"#cloud-config\n{netplan}".encode())
    assert other.problems == []
    assert other.config is not None
    made = {name: data.decode() for name, (data, _) in render(other.config).items()}
    assert settings(made["network.sh"]) == settings(files(path)["network.sh"])


@pytest.mark.parametrize("path", configdocs.files(), ids=lambda path: path.name)
def test_what_is_published_is_current(path: Path) -> None:
    """`./doit docs` writes it anew."""
    assert path.read_text() == configdocs.files()[path]


def test_patterns_are_of_the_syntax_that_editors_have() -> None:
    """ECMA-262 with its flag u, which editors use, knows no escapes of letters and signs that need none."""
    patterns = re.findall(r'"pattern": (".*")', configdocs.SCHEMA.read_text())
    assert len(patterns) > 20
    for pattern in map(json.loads, patterns):
        assert set(re.findall(r"\\(.)", pattern)) <= {".", "*", "x"}, pattern


def test_every_key_has_an_example_or_default_that_is_right() -> None:
    """What documentation and editors show of each key must be allowed."""

    def check(record: Record) -> None:
        for key in record.keys.values():
            for text in filter(None, (key.example, key.default)):
                json.loads(text)
                node = tree.parse(text)
                problems = Problems("f")
                if node is not None:
                    key.kind.read(node, key.name, problems)
                assert [str(problem) for problem in problems.found] == [], key.name
            for inner in (key.kind, getattr(key.kind, "item", None), getattr(key.kind, "record", None)):
                if isinstance(inner, Record):
                    check(inner)

    check(ROOT)
