"""Portainer's release as payload: out of its archive, behind a launcher that says how it is."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tasks import downloads, kubesolo, parts, payload, providers
from tasks.lib.arch import AMD64, ARM64
from tasks.lib.config import Download
from tasks.lib.debian import tools
from tasks.lib.engine import Build
from tasks.lib.errors import BuildError
from tasks.lib.formats.tree import Tree
from tasks.lib.provider import read_parts
from tasks.lib.target import Pinned
from tests.foreign import archives
from tests.unit.targets import EPOCH, TARGET

SCRIPT = b"#!/bin/sh\necho started with $* GOGC=${GOGC:-unset}\n"
RELEASE = Pinned("kubesolo", "1.1.9", "file:///x", "0" * 64, "MIT")


def test_the_program_comes_out_of_the_archive(tmp_path: Path) -> None:
    assert kubesolo.program(archives.release(tmp_path / "a.tar.gz", SCRIPT), AMD64) == SCRIPT
    deep = archives.release(tmp_path / "b.tar.gz", SCRIPT, "kubesolo-v1.1.9/kubesolo")
    assert kubesolo.program(deep, AMD64) == SCRIPT
    native = Path(tools.command("busybox")[-1]).read_bytes()
    assert kubesolo.program(archives.release(tmp_path / "c.tar.gz", native), AMD64) == native
    with pytest.raises(BuildError, match="is for EM_X86_64, not for arm64"):
        kubesolo.program(tmp_path / "c.tar.gz", ARM64)


def two(path: Path) -> None:
    with tarfile.open(path, "w:gz") as tar:
        for name in ("a/kubesolo", "b/kubesolo"):
            member = tarfile.TarInfo(name)
            member.size = len(SCRIPT)
            tar.addfile(member, io.BytesIO(SCRIPT))


def cut(path: Path) -> None:
    archives.release(path, os.urandom(100_000))
    path.write_bytes(path.read_bytes()[:50_000])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: path.write_bytes(b"<html>"), "is no archive"),
        (cut, "is no archive"),
        (lambda path: archives.release(path, SCRIPT, "README"), "has no file named kubesolo"),
        (two, "has 2 files named kubesolo"),
        (lambda path: archives.release(path, b""), "is no program"),
        (lambda path: archives.release(path, b"text"), "is no program"),
    ],
)
def test_archives_that_are_no_release(tmp_path: Path, make: object, words: str) -> None:
    make(tmp_path / "x.tar.gz")  # type: ignore[operator]
    with pytest.raises(BuildError, match=words) as caught:
        kubesolo.program(tmp_path / "x.tar.gz", AMD64)
    assert caught.value.hint
    assert "\n" not in caught.value.what


def test_iptables_comes_along_with_what_the_userland_does_not_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the locked packages to the tars and the list of parts."""
    path = archives.release(tmp_path / "x.tar.gz", SCRIPT)
    monkeypatch.setattr(downloads, "path", lambda pinned, b: path)
    own = Tree()
    own.add_file("usr/lib/x86_64-linux-gnu/libc.so.6", b"theirs")
    own.write_tar(tmp_path / "userland.tar", EPOCH)
    outs = [tmp_path / "payload.tar", tmp_path / "helpers.tar"]
    b = Build(outs, tmp_path, values={"epoch": EPOCH})
    payload.build_kubesolo(RELEASE, AMD64, tmp_path / "userland.tar", b)
    main, helpers = Tree(), Tree()
    main.add_tar(outs[0])
    helpers.add_tar(outs[1])
    assert main["usr/bin/kubesolo"].read() == kubesolo.LAUNCHER.read_bytes()
    assert main[kubesolo.PROGRAM].mode == 0o755
    assert helpers.resolve("usr/sbin/iptables") == f"usr/bin/{kubesolo.MULTI}"
    names = {Path(name).name for name in helpers}
    assert {"libxt_comment.so", "libxt_conntrack.so", "libipt_REJECT.so", "libxtables.so.12"} <= names
    assert "libc.so.6" not in names
    assert kubesolo.PROGRAM not in helpers
    listed = Build([tmp_path / "parts.json"], tmp_path)
    parts.build_release(RELEASE, outs[1], "amd64", listed)
    assert {"kubesolo", "iptables", "libxtables12"} <= {part.name for part in read_parts(listed.out)}


def test_a_target_with_it_has_what_it_needs_in_its_tasks() -> None:
    row = Download("1", "file:///x", amd64="0" * 64)
    target = TARGET.variant("x", payload="kubesolo", downloads={"kubesolo": row})
    (fetch,) = (task["meta"]["artifact"] for task in providers.download_tasks(target))  # type: ignore[index]
    (build,) = (task["meta"]["artifact"] for task in payload.tasks(target))  # type: ignore[index]
    assert set(fetch.targets) <= set(build.inputs)
    assert "build/amd64/base-debian/userland.tar" in build.inputs
    assert payload.archive(target).parent.name == "payload-kubesolo-debian"
    with pytest.raises(BuildError, match=r"downloads\.kubesolo\.amd64: is missing"):
        list(payload.tasks(TARGET.variant("x", payload="kubesolo")))


@contextmanager
def launched(root: Path, program: bytes, looks: str) -> Iterator[subprocess.Popen[str]]:
    """The launcher on a node in a folder; `looks`: what a look at the payload prints."""
    for folder in ("proc", "run/kubesolo", "usr/libexec/kubesolo", "bin"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    (root / "proc/uptime").write_text("12.34 20.00\n")
    for path, text in (("usr/libexec/kubesolo/kubesolo", program), ("bin/python3", looks.encode())):
        (root / path).write_bytes(text)
        (root / path).chmod(0o755)
    env = {"PATH": f"{root / 'bin'}:{os.environ['PATH']}", "ROOT": str(root), "GOGC": "off", "PAUSE": "0.1",
           "PAUSE_WELL": "0.1"}  # fmt: skip
    argv = [shutil.which("dash") or "sh", str(kubesolo.LAUNCHER), "--path", "/var/lib/kubesolo"]
    with subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, text=True) as child:
        try:
            yield child
        finally:
            child.kill()


def wait_for(path: Path, text: str) -> str:
    deadline = time.monotonic() + 60
    while not path.exists() or text not in path.read_text():
        assert time.monotonic() < deadline, path.read_text() if path.exists() else path
        time.sleep(0.05)
    return path.read_text()


def test_the_launcher_becomes_the_program_and_notes_each_milestone_once(tmp_path: Path) -> None:
    """The supervisor's child is the program: signals reach it, and its end is seen at once."""
    program = b"#!/bin/sh\necho $$ $* GOGC=${GOGC:-unset} >$ROOT/said\nexec sleep 600\n"
    with launched(tmp_path, program, "#!/bin/sh\necho ok\necho readyz\necho node-ready\n") as child:
        assert wait_for(tmp_path / "said", "\n").split() == [
            str(child.pid), "--path", "/var/lib/kubesolo", "GOGC=unset",
        ]  # fmt: skip
        assert wait_for(tmp_path / "run/kubesolo/payload.health", "ok") == "12 ok\n"
        time.sleep(0.5)
        lines = (tmp_path / "run/kubesolo/milestones").read_text().splitlines()
        assert lines == ["payload-start 12.34", "readyz 12.34", "node-ready 12.34"]
        child.terminate()
        assert child.wait(30) == -15
    health = tmp_path / "run/kubesolo/payload.health"
    deadline = time.monotonic() + 60
    while True:
        health.unlink(missing_ok=True)
        time.sleep(1)
        if not health.exists():
            break
        assert time.monotonic() < deadline, "somebody still looks"


def test_a_node_on_which_nobody_can_look_says_so(tmp_path: Path) -> None:
    with launched(tmp_path, b"#!/bin/sh\nexec sleep 600\n", "#!/bin/sh\nexit 1\n"):
        wait_for(tmp_path / "run/kubesolo/payload.health", "12 nobody can look how it is\n")


def test_version_is_the_program_s_own(tmp_path: Path) -> None:
    (tmp_path / "usr/libexec/kubesolo").mkdir(parents=True)
    program = tmp_path / kubesolo.PROGRAM
    program.write_text("#!/bin/sh\necho v1.1.9 $*\n")
    program.chmod(0o755)
    argv = ["sh", str(kubesolo.LAUNCHER), "--version"]
    found = subprocess.run(
        argv, env={**os.environ, "ROOT": str(tmp_path)}, capture_output=True,
        check=True,
    )  # fmt: skip
    assert found.stdout == b"v1.1.9 --version\n"
