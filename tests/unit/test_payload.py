"""The payload's providers, and what a failed compilation tells."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tasks import payload
from tasks.lib.debian import tools
from tasks.lib.engine import Build
from tasks.lib.errors import BuildError
from tasks.lib.formats.tree import Tree
from tasks.lib.go import program
from tasks.lib.process import run
from tests.unit.targets import VALUES

PROGRAM = "package main\n\nfunc main() {}\n"


def module(folder: Path, source: str = PROGRAM, go_mod: str = "module x\n\ngo 1.26.8\n") -> Path:
    (folder / "go.mod").write_text(go_mod)
    (folder / "main.go").write_text(source)
    return folder


def test_stub_is_laid_out_as_on_the_node(tmp_path: Path) -> None:
    for name in ("one.tar", "two.tar"):
        outs = [tmp_path / name, tmp_path / f"helpers-{name}"]
        payload.build_stub(Build(outs, tmp_path, values=VALUES))
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()
    tree = Tree()
    tree.add_tar(tmp_path / "one.tar")
    assert tree[payload.COMMAND].mode == 0o755


def test_stub_reaches_its_milestones_and_stops_when_asked(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "uptime").write_text("12.34 20.00\n")
    milestones = tmp_path / "run" / "kubesolo" / "milestones"
    argv = ["sh", str(payload.STUB), "--path", "/var/lib/kubesolo", "--local-storage"]
    with subprocess.Popen(argv, env={**os.environ, "ROOT": str(tmp_path)}, stdout=subprocess.PIPE) as child:
        deadline = time.monotonic() + 30
        while not milestones.exists() or "coredns-running" not in milestones.read_text():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        child.send_signal(signal.SIGTERM)
        assert child.wait(30) == 0
    lines = milestones.read_text().splitlines()
    assert [line.split()[0] for line in lines][:3] == ["payload-start", "apiserver-listening", "node-ready"]
    assert {line.split()[1] for line in lines} == {"12.34"}
    kubeconfig = tmp_path / "var/lib/kubesolo/pki/admin/admin.kubeconfig"
    assert kubeconfig.stat().st_mode & 0o777 == 0o600


def test_compile_error_names_the_line(tmp_path: Path) -> None:
    broken = module(tmp_path, "package main\n\nfunc main() { nonsense() }\n")
    with pytest.raises(BuildError, match=r"main\.go:3:15: undefined: nonsense"):
        program.compile_program(broken, program.Program(), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_missing_module_without_network_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(program.OFFLINE, "1")
    path = "example.com/nowhere"
    source = f'package main\n\nimport _ "{path}"\n\nfunc main() {{}}\n'
    wanting = module(tmp_path, source, f"module x\n\ngo 1.26.8\n\nrequire {path} v1.0.0\n")
    (tmp_path / "go.sum").write_text(f"{path} v1.0.0 h1:{'A' * 43}=\n{path} v1.0.0/go.mod h1:{'A' * 43}=\n")
    with pytest.raises(BuildError, match="module proxy can not be reached"):
        program.compile_program(wanting, program.Program(), tmp_path / "out")


def test_go_version_must_be_exact(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="names no exact Go version"):
        program.toolchain(module(tmp_path, go_mod="module x\n\ngo 1.26\n"))


def test_hosts_go_settings_do_not_leak(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GOFLAGS", "GOEXPERIMENT", "GOTOOLCHAIN", "GOWORK"):
        monkeypatch.setenv(name, "of-the-host")
    assert "of-the-host" not in program.go_environment(module(tmp_path)).values()


def test_versions_agree() -> None:
    """The versions that the program reports are those of the modules that it is built from."""
    text = (payload.MODULE / "go.mod").read_text()
    assert f"k8s.io/kubernetes v{payload.KUBERNETES}\n" in text
    assert f"github.com/containerd/containerd/v2 v{payload.CONTAINERD}\n" in text


@pytest.mark.timeout(1800)
def test_go_packages(tmp_path: Path) -> None:
    """The payload's own tests, with the flags of the build, so that its compiled packages are used.

    Those that need a kernel make network namespaces of their own, and use the node's nft.
    """
    go, flags, env = program.flags(payload.MODULE, payload.KUBESOLO, tmp_path)
    nft = tmp_path / "programs" / "nft"
    nft.parent.mkdir()
    nft.write_text(f'#!/bin/sh\nexec {shlex.join(tools.command("nft", "userland"))} "$@"\n')
    nft.chmod(0o755)
    run(
        [go, "test", *flags, "./..."],
        cwd=payload.MODULE,
        env=env | {"PATH": f"{nft.parent}:{os.environ['PATH']}"},
    )  # fmt: skip
