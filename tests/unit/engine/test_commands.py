"""The commands around a run, and what a run prints."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import shutil
import subprocess
import time

import pytest

from tasks.lib.engine.reporter import places
from tests.unit.engine.project import Project

DODO = """
def copy(b: Build) -> None:
    b.note("copying")
    for number in range(5):
        b.progress(number * 1000, 5000, "B")
        time.sleep(0.06)
    b.out.write_text((TOP / "in.txt").read_text())

def join(b: Build) -> None:
    b.out.write_text("".join(path.read_text() for path in (BUILD / "one", BUILD / "two")))

def task_all():
    inputs = ["in.txt"]
    yield artifact("one", doc="the first", build=copy, targets=[BUILD / "one"], files=inputs, group="sources")
    yield artifact("two", doc="the second", build=copy, targets=[BUILD / "two"], files=inputs)
    yield artifact("joined", doc="both", build=join, targets=[TOP / "output/joined"],
                   files=[BUILD / "one", BUILD / "two"], values={"os": {"version": "1"}}, group="products")

DOIT_CONFIG = {"default_tasks": ["joined"]}
"""


@pytest.fixture
def joined(project: Project) -> Project:
    project.dodo(DODO)
    project.write("in.txt", "text")
    return project


def test_list_groups_tasks_and_shows_commands(joined: Project) -> None:
    out = joined.run("list").stdout
    blocks = {block.splitlines()[0]: block for block in out.split("\n\n") if block.strip()}
    assert list(blocks) == ["products", "parts", "sources", "commands"]
    assert re.search(r"joined +both", blocks["products"])
    assert re.search(r"why +say which input", blocks["commands"])
    assert joined.run("list", "--names").stdout.splitlines()[:3] == ["one", "two", "joined"]


def test_table_at_the_end(joined: Project) -> None:
    out = joined.run().stdout
    assert re.search(r"^joined +8 B +0\.\d\d s +output/joined$", out, re.M)
    assert re.search(r"^one: never made in this checkout$", out, re.M)
    assert joined.run().stdout == "nothing to do: output/joined is up to date\n"


def test_quiet_and_verbose(joined: Project) -> None:
    assert joined.run("-q").stdout == ""
    joined.write("in.txt", "other")
    out = joined.run("-v").stdout
    assert "one:   input in.txt changed" in out
    assert "one: copying" in out
    assert joined.run("-q", "--always-execute", "one").stdout == ""


def test_independent_tasks_run_side_by_side(joined: Project) -> None:
    joined.dodo("""
def meet(mine, other, b: Build) -> None:
    os.mkdir(TOP.parent / mine)
    deadline = time.monotonic() + 60
    while not os.path.exists(TOP.parent / other):
        assert time.monotonic() < deadline, "the other one does not run"
        time.sleep(0.01)
    b.out.write_text("met")

def task_all():
    yield artifact("left", doc="", build=partial(meet, "l", "r"), targets=[BUILD / "left"])
    yield artifact("right", doc="", build=partial(meet, "r", "l"), targets=[BUILD / "right"])
""")
    joined.run("-n", "2")


def test_tasks_that_are_no_artifacts_are_refused(joined: Project) -> None:
    """Their actions would run unseen by records, lock and watcher."""
    joined.dodo(DODO + "\ndef task_after(): return {'actions': ['cp build/one after.txt']}\n")
    assert "task after was not made by artifact()" in joined.run("list", status=1).stderr


def test_a_function_may_have_no_task_to_give(joined: Project) -> None:
    joined.dodo(DODO + "\ndef task_none(): yield from ()\n")
    assert "none" not in joined.run("list", "--names").stdout.split()


def test_one_at_a_time(joined: Project) -> None:
    joined.dodo("""
def alone(b: Build) -> None:
    os.mkdir(TOP / "taken")
    time.sleep(0.05)
    os.rmdir(TOP / "taken")
    b.out.write_text("alone")

def task_all():
    for name in "abc":
        yield artifact(name, doc="", build=alone, targets=[BUILD / name])
""")
    joined.run("-n", "1")


def test_signs_of_life_without_a_terminal(joined: Project) -> None:
    file = joined.top / "tasks/lib/engine/reporter.py"
    file.write_text(file.read_text().replace("SIGN_OF_LIFE_S = 60", "SIGN_OF_LIFE_S = 0.1"))
    assert re.search(r"one: at work for 0 s, \d+%  \d.0 kB of 5.0 kB", joined.run("one").stdout)


def test_live_lines_on_a_terminal(joined: Project) -> None:
    main, side = pty.openpty()
    env = {**joined.environment(), "TERM": "xterm", "COLUMNS": "120", "LINES": "40"}
    child = subprocess.Popen(joined.command(), cwd="/", env=env, stdin=side, stdout=side, stderr=side)
    os.close(side)
    data = b""
    while select.select([main], [], [], 20)[0]:
        try:
            chunk = os.read(main, 65536)
        except OSError:
            break
        if not chunk:
            break
        data += chunk
    os.close(main)
    assert child.wait(timeout=120) == 0
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", data.decode())
    assert re.search(r"one +━+ +\d+%  \d\.\d kB of 5\.0 kB +\d s", text), text
    assert "joined: done" in text
    assert "[bold]" not in text
    assert data.count(b"\x1b[?25l") == data.count(b"\x1b[?25h") == 1, "the cursor must come back"


def test_info(joined: Project) -> None:
    joined.run()
    out = joined.run("info", "output/joined").stdout
    assert "state: up-to-date" in out
    assert "recipe: dodo.join" in out
    assert 'os = {"version": "1"}' in out
    assert re.search(r"build/one: mode 0644 sha256 [0-9a-f]{12}", out)
    assert re.search(r"^last took: \d", out, re.MULTILINE)


def test_how_long_a_task_took_is_known_while_it_is_stale(joined: Project) -> None:
    """From it comes the remaining time of a task that can not count what is to be done."""
    joined.run()
    joined.write("dodo.py", joined.read("dodo.py") + "\ndef copy(b: Build) -> None: raise BuildError('no')\n")
    joined.run("one", status=2)
    out = joined.run("info", "one").stdout
    assert "state: stale" in out
    assert re.search(r"^last took: \d", out, re.MULTILINE)


def test_graph(joined: Project) -> None:
    assert '"one" -> "joined";' in joined.run("graph").stdout
    out = joined.run("graph", "build/one").stdout
    assert re.findall(r'^  "(\w+)" ', out, re.MULTILINE) == ["one"]


def test_clean_task(joined: Project) -> None:
    joined.run()
    assert "would remove" in joined.run("clean", "--dry-run", "one").stdout
    assert (joined.top / "build/one").exists()
    joined.run("clean", "one")
    assert not (joined.top / "build/one").exists()
    assert (joined.top / "build/two").exists()
    out = joined.run().stdout
    assert "one: done" in out
    assert "two: done" not in out


def test_clean_all_keeps_the_cache_unless_told(joined: Project) -> None:
    joined.run()
    cache = joined.top.parent / "cache/kubesolo-os"
    for name in ("objects", "venv"):
        (cache / name).mkdir(parents=True)
    joined.run("clean", "--all")
    assert not (joined.top / "output").exists()
    assert [path.name for path in (joined.top / "build").iterdir()] == [".lock"]
    assert (cache / "objects").exists()
    joined.run("clean", "--all", "--cache")
    assert not (cache / "objects").exists()
    assert (cache / "venv").exists()
    assert "joined: done" in joined.run().stdout


def test_forget(joined: Project) -> None:
    joined.run()
    joined.run("forget", "one")
    out = joined.run().stdout
    assert "one: done" in out
    assert "joined: done" not in out


def test_help(joined: Project) -> None:
    for arguments in (["help"], ["--help"]):
        out = joined.run(*arguments).stdout
        assert "commands:" in out
        assert "-n N" in out
    assert joined.run("clean", "--help").stdout == joined.run("help", "clean").stdout
    assert "--cache" in joined.run("help", "clean").stdout


def test_ci_cache_key(joined: Project) -> None:
    def key() -> str:
        lines = joined.run("ci-cache-key").stdout.splitlines()
        return next(line for line in lines if line.startswith("key="))

    first = key()
    joined.run()
    assert key() == first
    joined.write("in.txt", "other")
    second = key()
    assert second != first
    joined.dodo(DODO.replace('"version": "1"', '"version": "2"'))
    assert key() not in (first, second)
    out = joined.run("ci-cache-key", "--github").stdout
    assert f"paths<<END\n{joined.top}/build\n{joined.top}/output\n" in out


@pytest.mark.skipif(not shutil.which("bash"), reason="bash is not installed")
def test_bash_completion(joined: Project) -> None:
    script = joined.run("completion", "bash").stdout
    joined.write("doit", f'#!/bin/sh\nexec {joined.command()[0]} "{joined.command()[1]}" "$@"\n', mode=0o755)
    words = f"""{script}
COMP_WORDS=(./doit jo); COMP_CWORD=1; _kubesolo_os_doit; echo "${{COMPREPLY[@]}}"
COMP_WORDS=(./doit wh); COMP_CWORD=1; _kubesolo_os_doit; echo "${{COMPREPLY[@]}}"
"""
    done = subprocess.run(
        ["bash", "-c", words],
        cwd=joined.top,
        env=joined.environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["joined", "why"], done.stderr


def test_two_runs_at_once_queue(joined: Project) -> None:
    """The first one works until the other has said that it waits."""
    joined.dodo("""
def slow(b: Build) -> None:
    (TOP.parent / "works").touch()
    deadline = time.monotonic() + 120
    while not os.path.exists(TOP.parent / "go"):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    b.out.write_text("x")

def task_slow():
    return artifact("slow", doc="", build=slow, targets=[BUILD / "slow"])
""")
    first = joined.spawn("slow")
    deadline = time.monotonic() + 120
    while not (joined.top.parent / "works").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    second = joined.spawn("slow")
    assert second.stdout
    said = second.stdout.readline()
    assert "waiting for process" in said
    (joined.top.parent / "go").touch()
    outs = [child.communicate(timeout=120)[0] for child in (first, second)]
    assert first.returncode == second.returncode == 0
    assert "slow: done" in outs[0]
    assert "nothing to do" in outs[1]


def test_options_after_the_task(joined: Project) -> None:
    assert joined.run("joined", "-q", "-n", "1").stdout == ""
    assert "would remove" in joined.run("clean", "one", "--dry-run").stdout


def test_verbose_shows_commands_and_their_output(joined: Project) -> None:
    joined.dodo("""
def shell(b: Build) -> None:
    run(["sh", "-c", "echo some output >&2; echo x > $0", b.out])

def task_shell():
    return artifact("shell", doc="", build=shell, targets=[BUILD / "shell"])
""")
    out = joined.run("-v", "shell").stdout
    assert "shell: $ sh -c 'echo some output" in out
    assert "shell: some output" in out


def test_why_says_in_one_line_that_nothing_was_made_yet(joined: Project) -> None:
    assert joined.run("why", "joined").stdout == "never made in this checkout: joined, one, two\n"


def test_the_cache_is_not_emptied_under_a_build(joined: Project) -> None:
    cache = joined.top.parent / "cache/kubesolo-os"
    (cache / "tools").mkdir(parents=True)
    held = os.open(cache, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_SH)
    assert "another checkout builds with it" in joined.run("clean", "--all", "--cache", status=1).stderr
    assert (cache / "tools").exists()
    os.close(held)
    joined.run("clean", "--all", "--cache")
    assert not (cache / "tools").exists()


def test_what_was_not_begun_after_a_failure_keeps_its_record(project: Project) -> None:
    project.dodo("""
def first(b: Build) -> None:
    text = (TOP / "in.txt").read_text()
    assert text == "good"
    b.out.write_text(text)

def second(b: Build) -> None:
    b.out.write_text((BUILD / "first").read_text())

def task_all():
    yield artifact("first", doc="", build=first, targets=[BUILD / "first"], files=[TOP / "in.txt"])
    yield artifact("second", doc="", build=second, targets=[BUILD / "second"], files=[BUILD / "first"])
""")
    project.write("in.txt", "good")
    project.run("second")
    project.write("in.txt", "bad")
    assert "second: not made, as it needs first" in project.run("-c", "second", status=2).stdout
    project.write("in.txt", "good")
    out = project.run("second").stdout
    assert "first: done" in out
    assert "second: done" not in out


def test_many_files_are_shown_as_their_folder() -> None:
    assert places(["output/a.iso", "output/a.iso.spdx.json"]) == "output/a.iso, output/a.iso.spdx.json"
    bundle = ["output/update/latest.json", *(f"output/update/0.2.0/{n}" for n in range(4))]
    assert places(bundle) == "output/update/ (5 files)"
