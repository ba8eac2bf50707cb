from __future__ import annotations

import json
import os
import socket
import subprocess
from pathlib import Path

import pytest

from tasks.commands.dev_vm import OPTIONS
from tasks.lib.errors import BuildError
from tasks.lib.formats.tree import Tree
from tasks.lib.vm import kube, session
from tasks.lib.vm.devvm import boot_parameters, choose_disk
from tasks.lib.vm.disks import write_data_disk
from tasks.lib.vm.kube import ApiError
from tasks.lib.vm.media import append_segment, boot_files
from tasks.lib.vm.session import missing

DEFAULTS = {str(option["name"]): option["default"] for option in OPTIONS}


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(session, "FOLDER", tmp_path)
    return tmp_path


def test_default_boot_is_the_menu_s() -> None:
    assert boot_parameters(DEFAULTS, "") == ""


def test_parameters_are_added() -> None:
    options = {**DEFAULTS, "shell": True, "debug": True, "edge_id": "i", "append": "kubesolo.toram=no"}
    words = boot_parameters(options, "from-environment").split()
    assert words[0] == "kubesolo.data=LABEL=KSOLODATA"
    assert {"kubesolo.shell", "kubesolo.debug", "kubesolo.edge-id=i", "kubesolo.toram=no"} <= set(words)
    assert "kubesolo.edge-key=from-environment" in words
    assert "console=ttyS0,115200n8" in words[-6:], "the terminal is the console"


def test_taken_port_moves_on_and_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        monkeypatch.setattr(session, "PORTS", {taken: "something"})
        chosen = session.choose_ports()
    assert chosen[taken] != taken
    (line,) = session.lines_for({taken}, chosen, set())
    assert f"port {taken} is taken" in line


def test_ports_are_said_once_something_listens() -> None:
    forwards = {6443: 6443, 8080: 8080, 22: 2222}
    said: set[int] = set()
    assert session.lines_for({10250}, forwards, said) == []
    assert session.lines_for({6443, 10250}, forwards, said) == ["dev-vm: 127.0.0.1:6443   Kubernetes API"]
    assert session.lines_for({6443, 22}, forwards, said) == ["dev-vm: 127.0.0.1:2222   SSH"]


def test_running_machine_is_recognised(folder: Path) -> None:
    assert session.running() is None
    session.record().write_text(json.dumps({"pid": os.getpid(), "api": 6443}))
    assert session.running() == session.Running(os.getpid(), 6443)
    ended = subprocess.Popen(["true"])
    ended.wait()
    session.record().write_text(json.dumps({"pid": ended.pid, "api": 6443}))
    assert session.running() is None
    session.record().write_text("{")
    assert session.running() is None


def test_data_disk_is_labelled_filled_and_sparse(tmp_path: Path) -> None:
    tree = Tree()
    tree.add_file("images/a.tar", b"a" * 5000)
    disk = tmp_path / "new" / "data.img"
    write_data_disk(disk, 64, tree)
    data = disk.read_bytes()
    assert len(data) == 64 << 20
    assert data[1024 + 0x38 :][:2] == b"\x53\xef", "ext4's magic number"
    assert data[1024 + 0x78 :][:9] == b"KSOLODATA"
    assert b"a" * 5000 in data
    assert disk.stat().st_blocks * 512 < 16 << 20
    assert [path.name for path in disk.parent.iterdir()] == ["data.img"]


def test_no_disk(tmp_path: Path) -> None:
    assert choose_disk("none", 64) is None
    path = choose_disk(str(tmp_path / "d.img"), 64)
    assert path is not None
    before = path.stat().st_mtime_ns
    assert choose_disk(str(path), 128) == path
    assert path.stat().st_mtime_ns == before, "an existing disk is kept as it is"


def test_segment_starts_at_a_multiple_of_four(tmp_path: Path) -> None:
    initrd, segment, out = (tmp_path / name for name in ("initrd", "segment", "out"))
    initrd.write_bytes(b"12345")
    segment.write_bytes(b"070701")
    append_segment(initrd, segment, out)
    assert out.read_bytes() == b"12345" + bytes(3) + b"070701"


def test_not_an_iso(tmp_path: Path) -> None:
    (tmp_path / "x.iso").write_bytes(bytes(100_000))
    with pytest.raises(BuildError, match=r"x\.iso"):
        boot_files(tmp_path / "x.iso", tmp_path / "out")


def test_kubeconfig_is_said_once_the_api_answers(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [BuildError("refused"), ApiError(500, "not yet"), None]

    class Node:
        def __init__(self, text: str, port: int) -> None:
            assert (text, port) == ("kubeconfig\n", 6443)

        def request(self, method: str, path: str, timeout: float) -> None:
            assert (method, path) == ("GET", "/readyz")
            if answer := answers.pop(0):
                raise answer

        def close(self) -> None:
            pass

    monkeypatch.setattr(kube, "Cluster", Node)
    with pytest.raises(BuildError, match="no dev-vm runs"):
        missing()
    session.record().write_text(json.dumps({"pid": os.getpid(), "api": 6443}))
    assert missing() == "the node has no kubeconfig"
    session.kubeconfig().write_text("kubeconfig\n")
    assert [missing() for _ in range(3)] == ["the node's API does not answer"] * 2 + [""]
