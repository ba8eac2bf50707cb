"""The command of the boot: what is in force afterwards, and that it never leaves half of it."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from agent import apply
from agent.config import folder
from agent.config.render import File
from tasks.lib.paths import TOP

GOOD = "#cloud-config\nhostname: one\nnetwork: {address: 10.0.0.5/24}\nntp: {servers: [a]}\n"
RENAMED = GOOD.replace("one", "two")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "run" / "cloud-init"


class CutError(Exception):
    """The power has gone."""


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def run(out: Path, *words: str | Path) -> int:
    return apply.main(["--out", str(out), *map(str, words)])


def content(folder: Path) -> dict[str, str]:
    """The files of sections."""
    return {
        path.name: path.read_text()
        for path in folder.iterdir()
        if path.name not in ("problems", "report.json")
    }


def sections(folder: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = json.loads((folder / "report.json").read_text())["sections"]
    return found


def test_a_good_file(out: Path, tmp_path: Path) -> None:
    file = write(tmp_path / "f", GOOD)
    assert run(out, "--file", file) == 0
    assert sorted(content(out)) == ["hostname", "network.sh", "ntp"]
    report = json.loads((out / "report.json").read_text())
    digest = subprocess.run(["sha256sum", file], capture_output=True, text=True, check=True).stdout.split()[0]
    assert report["format"] == 1
    assert report["sources"] == [{"file": str(file), "sha256": digest, "bytes": len(GOOD)}]
    assert report["sections"] == {"applied": ["hostname", "network", "ntp"], "kept": [], "left_out": []}
    assert (report["errors"], report["warnings"]) == ([], [])
    assert (out / "problems").read_text() == ""


def test_the_same_file_changes_nothing_and_another_one_leaves_nothing(out: Path, tmp_path: Path) -> None:
    file = write(tmp_path / "f", GOOD)
    run(out, "--file", file)
    before = out.stat().st_ino
    run(out, "--file", file)
    assert out.stat().st_ino == before
    write(file, "#cloud-config\nhostname: two\n")
    assert run(out, "--file", file) == 0
    assert content(out) == {"hostname": "two\n"}
    assert [path.name for path in out.parent.iterdir()] == ["cloud-init"]


def test_unknown_keys_are_warnings_at_boot(
    out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(tmp_path / "f", GOOD + "packages: [vim]\ncolour: blue\n")
    assert run(out, "--file", file) == 0
    assert sorted(content(out)) == ["hostname", "network.sh", "ntp"]
    lines = (out / "problems").read_text()
    assert f"{file}:6:1: warning: colour: unknown key" in lines
    assert capsys.readouterr().err == lines


def test_a_broken_section_has_its_defaults(out: Path, tmp_path: Path) -> None:
    file = write(tmp_path / "f", GOOD.replace("10.0.0.5/24", "10.0.0.5/99"))
    assert run(out, "--file", file) == 3
    assert content(out) == {"hostname": "one\n", "ntp": "a\n"}
    assert sections(out) == {"applied": ["hostname", "ntp"], "kept": [], "left_out": ["network"]}


def test_a_broken_section_stays_as_it_was(out: Path, tmp_path: Path) -> None:
    good = tmp_path / "last-good"
    run(good, "--file", write(tmp_path / "f", GOOD))
    broken = write(tmp_path / "f", RENAMED.replace("10.0.0.5/24", "10.0.0.5/99").replace("ntp", "ssh: {}\n#"))
    assert run(out, "--last-good", good, "--file", broken) == 3
    assert content(out) == {"hostname": "two\n", "network.sh": (good / "network.sh").read_text()}
    assert sections(out) == {"applied": ["hostname", "ssh"], "kept": ["network"], "left_out": []}


def test_a_file_that_cannot_be_read_leaves_everything_as_it_was(out: Path, tmp_path: Path) -> None:
    good = tmp_path / "last-good"
    run(good, "--file", write(tmp_path / "f", GOOD))
    broken = write(tmp_path / "f", RENAMED + "\t- : [\n")
    assert run(out, "--last-good", good, "--file", broken) == 3
    assert content(out) == content(good)
    assert sections(out) == {"applied": [], "kept": ["hostname", "network", "ntp"], "left_out": []}
    assert run(out, "--last-good", good, "--file", tmp_path / "missing") == 3
    assert content(out) == content(good)
    said = (out / "problems").read_text()
    assert said == f"{tmp_path}/missing: cannot be read: No such file or directory\n"
    assert run(out, "--last-good", tmp_path / "none", "--file", broken) == 3
    assert content(out) == {}


def test_of_each_section_the_first_source_counts(out: Path, tmp_path: Path) -> None:
    first = write(tmp_path / "first", "#cloud-config\nhostname: one\nnetwork: {address: 10.0.0.5/99}\n")
    second = write(tmp_path / "second", RENAMED + "portainer: {edge-id: id}\nkubesolo: {debug: true}\n")
    assert run(out, "--file", first, "--file", second) == 3
    assert content(out) == {
        "hostname": "one\n", "ntp": "a\n", "flags": "--debug\n",
        "payload.env": "KUBESOLO_PORTAINER_EDGE_ID=id\n",
    }  # fmt: skip


def test_portainers_keys_do_not_hang_on_the_other_flags(out: Path, tmp_path: Path) -> None:
    good = tmp_path / "last-good"
    flags = "kubesolo: {debug: true}\n"
    run(
        good,
        "--file",
        write(tmp_path / "f", f"#cloud-config\n{flags}portainer: {{edge-id: a, edge-key: b}}\n"),
    )
    text = "#cloud-config\nkubesolo: {debug: maybe}\nportainer: {edge-id: c, edge-key: d}\n"
    assert run(out, "--last-good", good, "--file", write(tmp_path / "f", text)) == 3
    variables = "KUBESOLO_PORTAINER_EDGE_ID=c\nKUBESOLO_PORTAINER_EDGE_KEY=d\n"
    assert content(out) == {"flags": "--debug\n", "payload.env": variables}
    assert sections(out) == {"applied": ["portainer"], "kept": ["kubesolo"], "left_out": []}
    first = write(tmp_path / "first", f"#cloud-config\n{flags}")
    assert run(out, "--file", first, "--file", tmp_path / "f") == 3
    assert content(out) == {"flags": "--debug\n", "payload.env": variables}


def test_a_medium_beside_a_file(out: Path, tmp_path: Path) -> None:
    user = write(tmp_path / "user-data", "#cloud-config\nntp: {servers: [b]}\n")
    meta = write(tmp_path / "meta-data", "local-hostname: of-meta\n")
    network = write(tmp_path / "network-config", "version: 2\nethernets: {eth0: {dhcp4: true}}\n")
    medium = ("--user-data", user, "--meta-data", meta, "--network-config", network)
    assert run(out, *medium) == 0
    assert sorted(content(out)) == ["hostname", "network.sh", "ntp"]
    assert run(out, "--file", write(tmp_path / "f", GOOD), *medium) == 0
    assert content(out)["hostname"] == "one\n"
    assert run(out, *medium, "--file", tmp_path / "f") == 0
    assert content(out)["hostname"] == "of-meta\n"


def test_a_fault_of_the_reader_leaves_everything_as_it_was(
    out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = tmp_path / "last-good"
    file = write(tmp_path / "f", GOOD)
    run(good, "--file", file)

    def read_file(*_: object, **__: object) -> None:
        raise IndexError

    monkeypatch.setattr("agent.config.source.read_file", read_file)
    assert run(out, "--last-good", good, "--file", file) == 3
    assert content(out) == content(good)
    assert "by a fault of the reader (IndexError)" in (out / "problems").read_text()


@pytest.mark.parametrize(
    "words", [[], ["--file", "f"], ["--out"], ["--out", "o", "--what", "f"], ["--out", "o", "f"]]
)
def test_wrong_usage(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert apply.main(words) == 2
    assert "--last-good" in capsys.readouterr().err


def test_a_folder_that_cannot_be_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "file", "")
    assert run(tmp_path / "file" / "out", "--file", write(tmp_path / "f", GOOD)) == 2
    assert capsys.readouterr().err == f"{tmp_path}/file: File exists\n"


def test_modes_do_not_depend_on_the_umask(out: Path, tmp_path: Path) -> None:
    file = write(tmp_path / "f", "#cloud-config\nhostname: a\nportainer: {edge-key: secret}\n")
    before = os.umask(0o077)
    try:
        assert run(out, "--file", file) == 0
    finally:
        os.umask(before)
    assert stat.S_IMODE((out / "payload.env").stat().st_mode) == 0o600
    assert stat.S_IMODE((out / "hostname").stat().st_mode) == 0o644
    assert stat.S_IMODE(out.stat().st_mode) == 0o755
    assert "secret" not in (out / "report.json").read_text()


@pytest.mark.parametrize("at", range(1, 30))
def test_a_cut_leaves_one_configuration_or_the_other(
    at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut before the at-th call that changes the disk."""
    target = str(tmp_path / "out")
    old: dict[str, File] = {"hostname": (b"one\n", 0o644), "ntp": (b"a\n", 0o644)}
    new: dict[str, File] = {"hostname": (b"two\n", 0o644), "flags": (b"--debug\n", 0o644)}
    folder.write(target, old)
    calls = 0

    def counted(name: str) -> None:
        real = getattr(os, name)

        def call(*words: object, **options: object) -> object:
            nonlocal calls
            calls += 1
            if calls == at:
                raise CutError
            return real(*words, **options)

        monkeypatch.setattr(os, name, call)

    for name in ("mkdir", "open", "fsync", "rename", "unlink", "rmdir"):
        counted(name)
    try:
        folder.write(target, new)
    except CutError:
        pass
    else:
        assert at > calls
    monkeypatch.undo()
    assert folder.read_kept(target) in (old, new)
    folder.write(target, new)
    assert folder.read_kept(target) == new
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_the_command(out: Path, tmp_path: Path) -> None:
    """As on the node, but for -I: there the modules are where Python finds them."""
    file = write(tmp_path / "f", GOOD + "colour: blue\n")
    words = [sys.executable, "-m", "agent.apply", "--out", str(out), "--file", str(file)]
    done = subprocess.run(words, cwd=TOP, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.startswith(f"{file}:5:1: warning: colour: unknown key")
