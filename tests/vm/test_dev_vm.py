"""`./doit dev-vm` as a person at a terminal sees it, and that nothing of it stays behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.lib.paths import TOP
from tasks.lib.vm import session
from tasks.lib.vm.machine import MARKER
from tasks.lib.vm.media import BootFiles
from tests.vm.person import Person

DOIT = [sys.executable, "-m", "tasks"]
BOOT_SECONDS = 180
END_SECONDS = 120

pytestmark = pytest.mark.timeout(700)


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    return tmp_path / "data.img"


@pytest.fixture
def person(stub_iso: Path, disk: Path, request: pytest.FixtureRequest) -> Iterator[Person]:
    options: list[str | Path] = [
        "--iso",
        stub_iso,
        "--data-disk",
        disk,
        "--disk-size",
        "128",
        "--memory",
        "512",
    ]
    someone = Person([*DOIT, "dev-vm", *options, *getattr(request, "param", [])])
    yield someone
    someone.leave()


def machines_with(disk: Path) -> list[str]:
    """Process ids of QEMUs that have the disk."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if any(word.startswith(b"id=data") and str(disk).encode() in word for word in words):
            found.append(entry.name)
    return found


def wait_gone(disk: Path) -> None:
    deadline = time.monotonic() + 10
    while machines_with(disk):
        assert time.monotonic() < deadline, "QEMU is still there"
        time.sleep(0.1)


@pytest.mark.parametrize("person", [["--shell"]], indirect=True)
def test_terminal_is_the_console_and_control_c_ends_it(person: Person, disk: Path) -> None:
    person.read_until("kubesolo-emergency#", BOOT_SECONDS)
    person.press("echo $((6 * 7))-typed\r")
    person.read_until("42-typed", 20)
    second = subprocess.run([*DOIT, "dev-vm"], cwd=TOP, capture_output=True, text=True, check=False)
    assert second.returncode != 0
    assert "runs already" in second.stderr
    assert len(machines_with(disk)) == 1
    person.press("\x03")
    assert person.wait_end(END_SECONDS) == 0
    assert termios.tcgetattr(person.other) == person.before, "the terminal is as it was"
    assert not machines_with(disk)
    assert session.running() is None


def test_nothing_survives_a_kill(person: Person, disk: Path) -> None:
    person.read_until("dev-vm:", BOOT_SECONDS)
    deadline = time.monotonic() + 20
    while not machines_with(disk):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    person.process.send_signal(signal.SIGKILL)
    person.process.wait()
    wait_gone(disk)
    assert session.running() is None


def test_termination_switches_the_machine_off_in_order(person: Person, disk: Path) -> None:
    person.read_until(MARKER, BOOT_SECONDS)
    person.process.send_signal(signal.SIGTERM)
    assert person.wait_end(END_SECONDS) == 0
    assert "unmounted" in person.text
    assert "127.0.0.1" not in person.text, "nothing listens in the stub"
    assert not machines_with(disk)


# As `dev-vm --disk` does it, with another image, and not in the folder that a developer's disk is kept in.
FROM_DISK = """
import sys
from pathlib import Path
from tasks.commands.dev_vm import OPTIONS
from tasks.lib.vm import devvm, session

folder, image, kernel = map(Path, sys.argv[1:4])
devvm.FOLDER = session.FOLDER = folder
options = {option["name"]: option["default"] for option in OPTIONS}
devvm.boot_disk(image, kernel, {**options, "memory": 512, "fresh": sys.argv[4] == "fresh"})
"""


@pytest.mark.long
def test_disk_image_starts_and_what_is_written_is_kept_until_it_is_made_anew(
    stub_disk: Path, stub_files: BootFiles, tmp_path: Path
) -> None:
    words: list[str | Path] = [
        sys.executable,
        "-c",
        FROM_DISK,
        tmp_path / "dev-vm",
        stub_disk,
        stub_files.kernel,
    ]
    disk, before = tmp_path / "dev-vm" / "disk.qcow2", 0
    for how in ("fresh", "kept", "fresh"):
        someone = Person([*words, how])
        try:
            someone.read_until(MARKER, BOOT_SECONDS)
            assert (disk.stat().st_ino == before) == (how == "kept")
            someone.press("\x03")
            assert someone.wait_end(END_SECONDS) == 0
            before = disk.stat().st_ino
            # Keeps the number of a disk that is made anew from being the same.
            os.link(disk, disk.with_suffix(f".{how}-{before}"))
        finally:
            someone.leave()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--iso", "missing.iso"], "missing.iso: no such file"),
        (["extra"], "takes no argument"),
        (["--memory", "much"], "memory"),
        (["--unknown"], "unknown"),
    ],
)
def test_wrong_usage(words: list[str], said: str) -> None:
    done = subprocess.run([*DOIT, "dev-vm", *words], cwd=TOP, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_kubeconfig_without_a_machine() -> None:
    done = subprocess.run([*DOIT, "kubeconfig"], cwd=TOP, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "no dev-vm runs" in done.stderr
