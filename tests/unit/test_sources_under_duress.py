"""Downloads, tool trees and the lock on a full disk, without file handles, and killed at any moment."""

from __future__ import annotations

import multiprocessing
import os
import random
import resource
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from tasks.lib.config import load_config
from tasks.lib.debian import tools
from tasks.lib.debian.lockfile import Package, load_lock, write_text
from tasks.lib.debian.resolve import resolve
from tasks.lib.errors import BuildError
from tasks.lib.net import cache
from tasks.lib.paths import TOP, cache_dir
from tests.unit.debian_archive import Archive
from tests.unit.mirror_server import Answer

LARGE = random.Random(1).randbytes(400_000)


@pytest.fixture
def locked(archive: Archive, checkout: Path) -> Archive:
    """An archive with a large package, and the lock that was resolved from it."""
    archive.add("program", "2.0", depends="library", files={"usr/bin/large": LARGE})
    archive.publish()
    write_text(checkout / "versions.lock", resolve(load_config()).text())
    return archive


# Run in a mount namespace of its own: argv are a folder on a small disk and the folder of versions.toml.
FULL_DISK = """
import sys
from pathlib import Path
from tasks.lib import config
from tasks.lib.debian import drift, fetch, lockfile, resolve, tools
from tasks.lib.errors import BuildError

disk, checkout = map(Path, sys.argv[1:])
config.CONFIG, lockfile.LOCK = checkout / "versions.toml", disk / "versions.lock"
drift.STATE = checkout / "drift.lock"

def fill(room):
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as stream:
        try:
            while True:
                stream.write(bytes(4096))
        except OSError:
            pass
        stream.truncate(max(0, stream.tell() - room))

def relock():
    lockfile.write_text(lockfile.LOCK, resolve.resolve(config.load_config()).text())

def get():
    fetch.fetch_set("userland")

def tree():
    tools.tree("userland")

for work, room in ((relock, 0), (relock, 40960), (get, 0), (get, 200_000), (tree, 0), (tree, 200_000)):
    fill(room)
    try:
        work()
        print(work.__name__, room, "worked")
    except BuildError as error:
        print(work.__name__, room, "refused:", str(error).replace("\\n", " "))
    left = [*disk.glob("kubesolo-os/partial/*"), *disk.glob("kubesolo-os/tools/.*"), *disk.glob(".versions*")]
    print("left:", left) if left else None
    (disk / "filler").unlink()
    if work is not get:
        work()
fetch.fetch_set("userland")
print("end")
"""


def test_a_full_disk(locked: Archive, checkout: Path) -> None:
    if subprocess.run(["unshare", "-rm", "true"], capture_output=True, check=False).returncode:
        pytest.skip("no user namespaces here; test_a_failed_write of test_sources.py stands for it")
    disk = checkout / "small disk"
    disk.mkdir()
    mount = f'mount -t tmpfs -o size=32m none "{disk}"'
    script = f'{mount} && exec "{sys.executable}" -c "$0" "{disk}" "{checkout}"'
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", script, FULL_DISK],
        env={**os.environ, "XDG_CACHE_HOME": str(disk), "PYTHONPATH": str(TOP)},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    lines = done.stdout.splitlines()
    assert (done.returncode, lines[-1:]) == (0, ["end"]), done.stdout + done.stderr
    attempts = [line for line in lines if " worked" in line or " refused: " in line]
    assert len(attempts) == 6
    refused = [line for line in attempts if " refused: " in line]
    assert {"relock 0", "get 0", "tree 0"} <= {" ".join(line.split()[:2]) for line in refused}
    assert all("No space left on device" in line for line in refused), refused
    assert [line for line in lines if line.startswith("left:")] == []


def in_child(work: Callable[[], object], report: multiprocessing.Queue[str], spare: int) -> None:
    """Do the work with only so many more file handles."""
    used = 0
    while used < 64:  # no gaps below the limit
        used = os.open("/dev/null", os.O_RDONLY)
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + spare, 4096))
    try:
        work()
        said = "worked"
    except BuildError as error:
        said = str(error)
    except BaseException as error:
        said = f"other: {traceback.format_exception(error)}"
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
    report.put(said)


def test_out_of_file_handles(locked: Archive) -> None:
    context = multiprocessing.get_context("fork")
    report: multiprocessing.Queue[str] = context.Queue()
    outcomes = set()
    tools.tree("kernel")  # imports what is imported late
    for spare in range(1, 40, 3):
        worker = context.Process(target=in_child, args=(lambda: tools.tree("userland"), report, spare))
        worker.start()
        said = report.get(timeout=30)
        worker.join(10)
        assert said == "worked" or "oo many open files" in said, said
        assert not said.startswith("other"), said
        outcomes.add(said == "worked")
        remove(load_lock().packages["program"])
    assert outcomes == {True, False}
    tools.tree("userland")


def slowly(answer: Answer, content: bytes) -> None:
    """A mirror that takes a while, and can resume."""
    start = answer.start()
    if start:
        place = f"bytes {start}-{len(content) - 1}/{len(content)}"
        answer.head(206, len(content) - start, Content_Range=place)
    else:
        answer.head(200, len(content))
    for position in range(start, len(content), 8192):
        answer.wfile.write(content[position : position + 8192])
        time.sleep(0.002)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_killed_at_any_moment(locked: Archive, number: signal.Signals) -> None:
    package = load_lock().packages["program"]
    locked.mirror.scripts[f"/debian/{package.path}"] = [slowly]
    context = multiprocessing.get_context("fork")
    moments = random.Random(int(number))
    for _ in range(20):
        worker = context.Process(target=tools.tree, args=("userland",))
        worker.start()
        time.sleep(moments.uniform(0, 0.15))
        if worker.pid is not None:
            os.kill(worker.pid, number)
        worker.join(10)
        assert worker.exitcode is not None
        assert_nothing_is_wrong(package)
        if moments.random() < 0.3:
            remove(package)
    place = tools.tree("userland")
    assert (place / "usr/bin/large").read_bytes() == LARGE
    assert [path.name for path in place.parent.iterdir()] == [place.name]
    assert list((cache_dir() / "partial").iterdir()) == []


def assert_nothing_is_wrong(package: Package) -> None:
    """What has its final name is whole."""
    path = cache.object_path(package.sha256)
    if path.exists():
        assert cache.file_digest(path) == package.sha256
    place = tools.location("userland")
    if place.exists():
        assert (place / "usr/bin/large").read_bytes() == LARGE


def remove(package: Package) -> None:
    """Forget what has been downloaded, so that the next attempt has all to do."""
    import shutil

    cache.object_path(package.sha256).unlink(missing_ok=True)
    shutil.rmtree(tools.location("userland"), ignore_errors=True)
