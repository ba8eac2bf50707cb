"""The command `kubesolo-os` against a node's files in a folder."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent import main, reset, status, support
from agent.node import Node

SECRET = "edge-secret-0123456789"
TOKEN = "token-0123456789abcdef"
# As the node's own says it, of which tests/device/test_health.py has the words.
HEALTH = """cat <<END
name edge-1
address 10.0.2.15
interface eth0
data on the data partition
state Ready
END
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A node that is Ready."""
    files = {
        "usr/lib/os-release": 'VERSION_ID="1.2.3"\nPRETTY_NAME="KubeSolo OS 1.2.3"\n',
        "proc/uptime": "110.00 1.00\n",
        "proc/cmdline": f"quiet kubesolo.slot=B kubesolo.edge-key={SECRET}\n",
        "proc/meminfo": "MemTotal:  1000 kB\nMemAvailable:  400 kB\n",
        "run/kubesolo/etc/hostname": "edge-1\n",
        "usr/lib/kubesolo-os/health": HEALTH,
        "run/kubesolo/data": "disk /dev/vda4\n",
        "run/kubesolo/milestones": "init-start 1.00\nstage-90-kubesolo 9.50\n",
        "run/kubesolo/boot.log": f"started with {SECRET}\n",
        "run/kubesolo/cloud-init/payload.env": f"KUBESOLO_PORTAINER_EDGE_KEY={SECRET}\n",
        "run/kubesolo/cloud-init/kubeconfig-token": f"{TOKEN}\n",
        "run/kubesolo/problems/config": "configuration: line 3 is wrong\n",
        "etc/kubesolo/cloud-init.yaml": f"portainer:\n  edge-key: other-{SECRET}\n"
        f"kubeconfig: {{token: {TOKEN}}}\n",
        "etc/kubesolo/extra-flags": "--portainer-edge-key=on-a-flag\n",
        "etc/kubesolo/update.conf": "proxy=http://me:of-a-proxy@proxy:3128\n",
        "var/log/kubesolo.log": "x" * 5_000_000 + "end\n",
        "mnt/data/file": "",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_status_of_a_node_that_is_ready(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert status.main(["--json"], Node(root)) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["name"] == "edge-1"
    assert found["slot"] == "B"
    assert found["api"] == "https://10.0.2.15:6443"
    assert found["data"] == {"kind": "disk", "device": "/dev/vda4", "state": "on the data partition"}
    assert found["memory_kib"] == {"total": 1000, "available": 400}
    assert found["boot_seconds"] == 9.5
    assert found["problems"] == ["configuration: line 3 is wrong"]
    assert status.main([], Node(root)) == 0
    text = capsys.readouterr().out
    assert "State    Ready\n" in text
    assert "Data     on the data partition, /dev/vda4\n" in text
    assert "Problem  configuration: line 3 is wrong\n" in text


def test_status_is_1_when_the_node_is_not_ready(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "usr/lib/kubesolo-os/health").write_text("echo 'state Ready; no network address'\n")
    assert status.main([], Node(root)) == 1
    assert "State    Ready; no network address\n" in capsys.readouterr().out


@pytest.mark.parametrize("health", ["exit 1\n", None])
def test_status_that_can_not_be_had_is_said(
    root: Path, capsys: pytest.CaptureFixture[str], health: str | None
) -> None:
    path = root / "usr/lib/kubesolo-os/health"
    path.write_text(health) if health else path.unlink()
    assert status.main([], Node(root)) == 1
    assert f"State    {status.UNKNOWN}\n" in capsys.readouterr().out


def test_status_of_an_empty_root_is_no_traceback(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert status.main([], Node(tmp_path)) == 1
    assert "Address  none" in capsys.readouterr().out


def members(archive: Path) -> dict[str, bytes]:
    found = {}
    with tarfile.open(archive) as tar:
        for member in tar:
            stream = tar.extractfile(member)
            assert stream
            found[member.name] = stream.read()
    return found


def test_the_archive_for_support_has_no_secret(root: Path, tmp_path: Path) -> None:
    word = "correct horse battery"
    (root / "run/kubesolo/cloud-init/registries").write_text(f'{{"a.example": {{"password": "{word}"}}}}')
    with (root / "run/kubesolo/boot.log").open("a") as log:
        log.write(f"containerd: {word}\n")
    out = tmp_path / "out" / "support.tar.gz"
    assert support.main(["--out", str(out)], Node(root)) == 0
    assert out.stat().st_mode & 0o777 == 0o600
    found = members(out)
    everything = b"".join(found.values())
    assert SECRET.encode() not in everything
    assert TOKEN.encode() not in everything
    assert word.encode() not in everything
    assert b"on-a-flag" not in everything
    assert found["support/etc/kubesolo/update.conf"] == b"proxy=http://[removed]@proxy:3128\n"
    assert b"edge-key: [removed]" in found["support/etc/kubesolo/cloud-init.yaml"]
    assert "support/run/kubesolo/cloud-init/payload.env" not in found
    assert found["support/var/log/kubesolo.log"].endswith(b"end\n")
    assert len(found["support/var/log/kubesolo.log"]) == support.LONGEST
    assert b'"name": "edge-1"' in found["support/status.json"]


def test_support_says_what_can_not_be_written(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "taken").write_text("mine")
    assert support.main(["--out", str(root / "taken")], Node(root)) == 1
    assert "cannot be written" in capsys.readouterr().err


def answers(*texts: str) -> Callable[[str], str]:
    """A person who answers the questions one after the other."""
    left: Iterator[str] = iter(texts)

    def ask(question: str) -> str:
        try:
            return next(left)
        except StopIteration:
            raise EOFError from None

    return ask


@pytest.mark.parametrize("said", [("no",), ("yes", "another"), ("yes",), ()])
def test_reset_asks_twice(root: Path, said: tuple[str, ...]) -> None:
    assert reset.main([], root, answers(*said)) == 1
    assert not (root / reset.MARK).exists()


@pytest.mark.parametrize(("words", "what"), [([], "cluster"), (["--all"], "all")])
def test_reset_leaves_a_mark_for_the_next_boot(root: Path, words: list[str], what: str) -> None:
    assert reset.main(words, root, answers("yes", "edge-1")) == 0
    assert (root / reset.MARK).read_text() == f"{what}\n"


def test_reset_without_questions(root: Path) -> None:
    assert reset.main(["--yes", "--all"], root, answers()) == 0
    assert (root / reset.MARK).read_text() == "all\n"


@pytest.mark.parametrize(
    "words", [["frobnicate"], ["status", "--yaml"], ["reset", "now"], ["support", "--out"], ["validate"]]
)
def test_wrong_usage_is_said(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(words) == 2
    assert "usage: " in capsys.readouterr().err


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main([]) == 0
    assert "kubesolo-os COMMAND" in capsys.readouterr().out


def test_an_update_shows_in_the_status(root: Path) -> None:
    path = root / "mnt/data/update/state.json"
    assert status.describe(Node(root))["update"] == {}
    path.parent.mkdir(parents=True)
    path.write_text('{"phase": "rolled_back", "from": "0.1.0", "to": "0.2.0", "available": "0.3.0"}')
    words = status.in_words(status.describe(Node(root)))
    assert "Update   0.1.0 -> 0.2.0: rolled back" in words
    assert "Offered  version 0.3.0" in words
    path.write_text("[")
    assert status.describe(Node(root))["update"] == {}
