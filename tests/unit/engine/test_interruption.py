"""Kills at many moments: nothing half-written, nobody left behind, and next a clean build's bytes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tasks.lib.process import GONE_WITHIN_S, end_group
from tests.unit.engine.project import Project

# Like the real thing, each link slow in its own way: many writes, a command with children, a folder.
DODO = """
def fetch(b: Build) -> None:
    with b.out.open("wb") as out:
        for number in range(10):
            out.write((TOP / "in.txt").read_bytes() * 1000)
            out.flush()
            b.progress(number, 10, "B")
            time.sleep(0.003)

def compress(b: Build) -> None:
    script = '(sleep 0.01; cat build/fetched; sleep 0.01) > "$1"; sleep 0.01; echo end >> "$1"'
    run(["sh", "-c", script, "sh", b.out], cwd=TOP)

def unpack(b: Build) -> None:
    b.out.mkdir()
    for number in range(10):
        (b.out / str(number)).write_bytes((BUILD / "fetched").read_bytes()[:number])
        (b.scratch / "tmp").write_text("x")
        time.sleep(0.003)

def pack(b: Build) -> None:
    names = [*sorted((BUILD / "unpacked").iterdir()), BUILD / "compressed"]
    b.outs[0].write_text("".join(path.read_text() for path in names))
    time.sleep(0.01)
    b.outs[1].write_text("second")

def task_all():
    fetched, compressed, unpacked = BUILD / "fetched", BUILD / "compressed", BUILD / "unpacked"
    yield artifact("fetch", doc="", build=fetch, targets=[fetched], files=[TOP / "in.txt"])
    yield artifact("compress", doc="", build=compress, targets=[compressed], files=[fetched])
    yield artifact("unpack", doc="", build=unpack, targets=[unpacked], files=[fetched])
    yield artifact("pack", doc="", build=pack, targets=[TOP / "output/one", TOP / "output/two"],
                   files=[compressed], trees=[unpacked])
"""
MOMENTS = 20

pytestmark = pytest.mark.timeout(900)


@pytest.fixture
def chain(project: Project) -> Project:
    project.dodo(DODO)
    project.write("in.txt", "new input")
    return project


def results(project: Project) -> dict[str, bytes]:
    folders = (project.top / "build/unpacked", project.top / "output")
    files = [project.top / "build/fetched", project.top / "build/compressed"]
    files += [path for folder in folders for path in folder.iterdir()]
    return {str(path.relative_to(project.top)): path.read_bytes() for path in files}


def members(session: int) -> list[str]:
    """Living processes that carry the session's or the checkout's mark: "pid command"."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            state = (entry / "stat").read_text().rpartition(") ")[2].split()
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if int(state[3]) == session and state[0] != "Z":
            found.append(f"{entry.name} {command}")
    return found


def wait_until_gone(session: int, seconds: float) -> list[str]:
    deadline = time.monotonic() + seconds
    while (left := members(session)) and time.monotonic() < deadline:
        time.sleep(0.01)
    return left


def duration(project: Project) -> float:
    start = time.monotonic()
    project.run()
    return time.monotonic() - start


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM], ids=lambda s: s.name)
def test_interrupted_at_many_moments(chain: Project, number: signal.Signals) -> None:
    """The input changes before every attempt; after every third it is reverted before the next run."""
    clean: dict[str, dict[str, bytes]] = {}
    for text in ("old input", "new input"):
        chain.write("in.txt", text)
        whole = duration(chain)
        clean[text] = results(chain)
    now, other = "new input", "old input"
    for moment in range(MOMENTS):
        now, other = other, now
        chain.write("in.txt", now)
        child = chain.spawn()
        time.sleep(whole * (moment + 0.5) / MOMENTS)
        child.send_signal(number)
        out, _ = child.communicate(timeout=120)
        if number != signal.SIGKILL:
            in_time = "KeyboardInterrupt" not in out  # else Python itself was not up yet
            assert not in_time or child.returncode in (0, 128 + number, -number), out
            assert members(child.pid) == []
            assert chain.leftovers() == []
        elif moment % 2:
            assert wait_until_gone(child.pid, 30) == []
        if moment % 3 == 0:
            now, other = other, now
            chain.write("in.txt", now)
        chain.run()
        assert results(chain) == clean[now], moment
        assert chain.leftovers() == []
    assert "nothing to do" in chain.run("pack").stdout


def test_exit_status_and_message(chain: Project) -> None:
    chain.dodo("""
def slow(b: Build) -> None:
    b.out.write_text("half")
    run(["sleep", "60"])

def task_slow():
    return artifact("slow", doc="", build=slow, targets=[BUILD / "slow"])
""")
    for number, name in ((signal.SIGINT, "SIGINT"), (signal.SIGTERM, "SIGTERM"), (signal.SIGHUP, "SIGHUP")):
        child = chain.spawn("slow")
        wait_for(chain.top / "build/.part-slow/slow")
        child.send_signal(number)
        out, _ = child.communicate(timeout=120)
        assert child.returncode == 128 + number
        assert f"stopped by {name}" in out
        assert members(child.pid) == []
        assert chain.leftovers() == []


def test_goes_on_without_its_terminal_under_nohup(chain: Project) -> None:
    chain.dodo("""
def slow(b: Build) -> None:
    b.out.write_text("half")
    while not (TOP.parent / "go").exists():
        time.sleep(0.01)

def task_slow():
    return artifact("slow", doc="", build=slow, targets=[BUILD / "slow"])
""")
    child = chain.spawn("slow", hangup=signal.SIG_IGN)
    wait_for(chain.top / "build/.part-slow/slow")
    child.send_signal(signal.SIGHUP)
    (chain.top.parent / "go").touch()
    out, _ = child.communicate(timeout=120)
    assert child.returncode == 0, out


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} does not appear"
        time.sleep(0.01)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except OSError:
        return False


def test_children_of_a_killed_run_die(chain: Project) -> None:
    """A grandchild of a worker that ignores signals and holds no pipe: the watcher gets it."""
    chain.dodo("""
def slow(b: Build) -> None:
    script = 'trap "" TERM INT HUP; echo $$ > "$1"; sleep 61 & echo $! > "$2"; wait'
    run(["sh", "-c", script, "sh", b.scratch / "shell", b.scratch / "sleeper"])

def task_slow():
    return artifact("slow", doc="", build=slow, targets=[BUILD / "slow"])
""")
    for number in (signal.SIGKILL, signal.SIGTERM):
        shutil.rmtree(chain.top / "build/scratch", ignore_errors=True)
        child = chain.spawn("slow")
        wait_for(chain.top / "build/scratch/slow/sleeper")
        time.sleep(0.05)
        pids = [int(chain.read(f"build/scratch/slow/{name}")) for name in ("shell", "sleeper")]
        assert all(alive(pid) for pid in pids)
        child.send_signal(number)
        child.communicate(timeout=120)
        deadline = time.monotonic() + 20
        while any(alive(pid) for pid in pids) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not any(alive(pid) for pid in pids), number


def test_temporary_files_of_a_recipe_go_with_it(
    chain: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own and those of the programs that it runs, also when they have no time to remove them."""
    outside = tmp_path / "temporary"
    outside.mkdir()
    monkeypatch.setenv("TMPDIR", str(outside))
    chain.dodo("""
def slow(b: Build) -> None:
    import tempfile
    tempfile.mkstemp()
    run(["mktemp"])
    b.out.write_text("made")
    while (TOP.parent / "wait").exists():
        time.sleep(0.01)

def task_slow():
    return artifact("slow", doc="", build=slow, targets=[BUILD / "slow"])
""")
    wait = chain.top.parent / "wait"
    wait.touch()
    for number in (signal.SIGKILL, signal.SIGTERM):
        child = chain.spawn("slow")
        wait_for(chain.top / "build/.part-slow/slow")
        child.send_signal(number)
        child.communicate(timeout=120)
        assert wait_until_gone(child.pid, 30) == []
        assert list(outside.iterdir()) == [], number
    wait.unlink()
    chain.run("slow")
    assert list(outside.iterdir()) == []
    assert chain.leftovers() == []


def test_dead_children_that_nobody_collects_are_not_waited_for() -> None:
    """As in a container whose first process collects none: they are zombies for ever."""
    script = "import os, time\nif not (pid := os.fork()): time.sleep(61)\n"
    script += "os.setpgid(pid, 0); print(pid, flush=True); time.sleep(61)"
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        try:
            group = int(parent.stdout.readline())
            start = time.monotonic()
            end_group(group)
            assert time.monotonic() - start < GONE_WITHIN_S / 2
            assert not alive(group)
        finally:
            parent.kill()


def test_next_run_waits_for_the_children_of_a_killed_one(chain: Project) -> None:
    """The lock outlives the killed run until its workers are gone; no two recipes ever run at once."""
    chain.dodo("""
def slow(b: Build) -> None:
    os.mkdir(TOP / "count")
    time.sleep(0.3)
    os.rmdir(TOP / "count")
    b.out.write_text("made")

def task_slow():
    return artifact("slow", doc="", build=slow, targets=[BUILD / "slow"])
""")
    child = chain.spawn("slow")
    wait_for(chain.top / "count")
    child.kill()
    (chain.top / "count").rmdir()
    chain.run("slow")
    child.communicate(timeout=120)
    assert chain.read("build/slow") == "made"


def test_killed_worker_is_a_failure(chain: Project) -> None:
    chain.dodo("""
def bad(b: Build) -> None:
    b.out.write_text("half")
    os.kill(os.getpid(), 9)

def task_bad():
    return artifact("bad", doc="", build=bad, targets=[BUILD / "bad"])
""")
    done = chain.run("bad", status=2)
    assert "its worker was killed by SIGKILL" in done.stdout
    assert chain.leftovers() == []


def test_killed_while_writing_the_database(project: Project) -> None:
    """200 kills of a process that does nothing but write records: none is lost or torn."""
    project.dodo("def task_none(): yield artifact('none', doc='', build=print, targets=['x'])")
    script = project.write("hammer.py", HAMMER)
    environment = {**project.environment(), "PYTHONPATH": str(project.top)}
    for attempt in range(200 // KILLS_A_PROCESS):
        command = [*project.command()[:1], str(script), str(attempt)]
        done = subprocess.run(
            command, env=environment, cwd=project.top, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stdout + done.stderr


KILLS_A_PROCESS = 50
HAMMER = f"""
import os, random, signal, sys, time
from tasks.lib.engine.database import Database

random.seed(int(sys.argv[1]))
for kill in range({KILLS_A_PROCESS}):
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        database = Database("build/tasks.db")
        for number in range(1000000):
            database.set(f"task{{number % 7}}", "state", {{"number": number, "filler": "x" * 3000}})
            database.commit()
            os.write(write, f"{{number}}\\n".encode())
    os.close(write)
    os.read(read, 1)
    time.sleep(random.random() * 0.01)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    told = [int(line) for line in os.read(read, 1 << 20).split() if line] or [0]
    os.close(read)
    database = Database("build/tasks.db")
    newest = max(database.get(f"task{{n}}", "state")["number"] for n in range(min(7, told[-1] + 1)))
    assert newest >= told[-1], (newest, told[-1])
    for n in range(min(7, told[-1] + 1)):
        assert database.get(f"task{{n}}", "state")["filler"] == "x" * 3000
    database.remove_all()
    database.dump()
"""


def test_signal_while_waiting_for_the_lock(chain: Project) -> None:
    chain.dodo("""
def slow(b: Build) -> None:
    b.out.write_text("x")
    until = time.monotonic() + 120
    while not (b.scratch / "go").exists() and time.monotonic() < until:
        time.sleep(0.05)

def task_slow():
    return artifact("slow", doc="", build=slow, targets=[BUILD / "slow"])
""")
    first = chain.spawn("slow")
    wait_for(chain.top / "build/.part-slow/slow")
    second = chain.spawn("slow")
    assert second.stdout is not None
    line = second.stdout.readline()
    assert f"waiting for process {first.pid}" in line
    os.kill(second.pid, signal.SIGINT)
    second.communicate(timeout=120)
    assert second.returncode == 130
    (chain.top / "build/scratch/slow/go").touch()
    first.communicate(timeout=120)
    assert first.returncode == 0
