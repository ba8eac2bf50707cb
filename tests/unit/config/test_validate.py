"""The command for people: messages and exit status, on the node and through ./doit."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from agent import validate
from tasks.commands.validate import Plugin
from tasks.lib.errors import BuildError
from tasks.lib.paths import TOP

BAD = "#cloud-config\nhostname: a\nhostnme: b\nnetwork: {address: 10.0.0.5}\n"


def run(*words: str | Path, text: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "agent.validate", *map(str, words)]
    return subprocess.run(command, cwd=TOP, input=text, capture_output=True, text=True, check=False)


def test_the_command(tmp_path: Path) -> None:
    file = tmp_path / "cloud-init.yaml"
    file.write_text(BAD)
    done = run(file)
    assert done.returncode == 1
    assert done.stdout.splitlines()[0].startswith(
        f"{file}:3:1: hostnme: unknown key; known are: hostname, network"
    )
    assert done.stdout.splitlines()[0].endswith("; did you mean 'hostname'?")
    assert done.stdout.splitlines()[1].startswith(
        f"{file}:4:20: warning: network.address: 10.0.0.5 has no prefix"
    )
    assert run(file, "--boot").returncode == 0
    done = run("-", text=BAD.replace("hostnme: b\n", "").replace("10.0.0.5", "10.0.0.5/24"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "-: no errors\n", "")


def test_json(tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_text(BAD)
    made = json.loads(run(file, "--json").stdout)
    assert [(each["line"], each["column"], each["key"]) for each in made["errors"]] == [(3, 1, "hostnme")]
    assert [(each["line"], each["column"], each["key"]) for each in made["warnings"]] == [
        (4, 20, "network.address")
    ]
    assert set(made["errors"][0]) == {"file", "line", "column", "key", "text"}


def test_files_that_are_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert validate.main([str(tmp_path / "none")]) == 2
    assert capsys.readouterr().err == f"{tmp_path}/none: No such file or directory\n"
    assert validate.main([str(tmp_path)]) == 2
    assert validate.main([]) == 2
    assert validate.main(["a", "b"]) == 2
    assert validate.main(["a", "--wrong"]) == 2
    assert "usage: " in capsys.readouterr().err
    assert validate.main(["--help"]) == 0


def test_no_more_than_fifty_messages(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "f"
    file.write_text("#cloud-config\n" + "".join(f"key-{number}: 1\n" for number in range(200)))
    assert validate.main([str(file)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 51
    assert lines[-1] == "... and 150 more"


def test_doit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "f"
    file.write_text(BAD)
    command = Plugin()  # type: ignore[no-untyped-call]
    assert command.execute({"json": False, "boot": False}, [str(file)]) == 1
    printed = capsys.readouterr().out
    assert printed == run(file).stdout
    assert command.execute({"json": False, "boot": True}, [str(file)]) == 0
    with pytest.raises(BuildError, match="one file"):
        command.execute({"json": False, "boot": False}, [])
