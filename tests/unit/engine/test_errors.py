"""What goes wrong is said in one clear line, before anything starts where that is possible."""

from __future__ import annotations

import functools
import os
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.engine.project import Project

COPY = """
def copy(b: Build) -> None:
    b.out.write_text((TOP / "in.txt").read_text())

"""


def one_line(project: Project, *arguments: str, status: int = 1) -> str:
    """Run, expect a refusal without a traceback, and return what it said."""
    done = project.run(*arguments, status=status)
    text = done.stdout + done.stderr
    assert "Traceback" not in text
    return text


def test_missing_input_is_found_before_anything_starts(project: Project) -> None:
    project.dodo(
        COPY
        + """
def task_all():
    yield artifact("first", doc="", build=copy, targets=[BUILD / "first"], files=[TOP / "in.txt"])
    inputs = [BUILD / "first", "nowhere"]
    yield artifact("second", doc="", build=copy, targets=[BUILD / "second"], files=inputs)
"""
    )
    project.write("in.txt", "x")
    assert "task second: input nowhere does not exist" in one_line(project, "second")
    assert not (project.top / "build/first").exists()


def test_unreadable_input(project: Project) -> None:
    project.dodo(
        COPY
        + """
def task_copy():
    return artifact("copy", doc="", build=copy, targets=[BUILD / "copy"], files=[TOP / "in.txt"])
"""
    )
    project.write("in.txt", "x", mode=0)
    powerless = [] if os.geteuid() else ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
    done = subprocess.run([*powerless, *project.command("copy")], cwd="/", env=project.environment(),
                          capture_output=True, text=True, timeout=120, check=False)  # fmt: skip
    assert done.returncode == 2, done.stdout + done.stderr
    assert "copy: FAILED: in.txt can not be read: Permission denied" in done.stdout


def test_input_that_is_a_loop_of_links(project: Project) -> None:
    project.dodo(
        COPY
        + """
def task_copy():
    return artifact("copy", doc="", build=copy, targets=[BUILD / "copy"], files=[TOP / "in.txt"])
"""
    )
    (project.top / "in.txt").symlink_to("in.txt")
    assert "in.txt" in one_line(project, "copy", status=2)


def test_recipe_without_target(project: Project) -> None:
    project.dodo("""
def nothing(b: Build) -> None:
    pass

def task_nothing():
    return artifact("nothing", doc="", build=nothing, targets=[BUILD / "nothing"])
""")
    assert "did not make build/nothing" in one_line(project, "nothing", status=2)


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ("BUILD / 'x'", "'build/../build/x'", "build/x is the target of both a and b"),
        ("BUILD / 'x'", "BUILD / 'x/y'", "lies inside target build/x of a"),
    ],
)
def test_clashing_targets_are_found_by_list(project: Project, first: str, second: str, message: str) -> None:
    project.dodo(
        COPY
        + f"""
def task_all():
    yield artifact("a", doc="", build=copy, targets=[{first}])
    yield artifact("b", doc="", build=copy, targets=[{second}])
"""
    )
    assert message in one_line(project, "list")


def test_circle(project: Project) -> None:
    project.dodo(
        COPY
        + """
def task_all():
    yield artifact("a", doc="", build=copy, targets=[BUILD / "a"], files=[BUILD / "b"])
    yield artifact("b", doc="", build=copy, targets=[BUILD / "b"], files=[BUILD / "a"])
"""
    )
    assert "a -> b -> a" in one_line(project, "a", status=3)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("sys.exit(0)", "its recipe called exit(0)"),
        ("raise BuildError('no cheese', 'buy some')", "no cheese"),
        ("run(['sh', '-c', 'echo last words; exit 3'])", "last words"),
        ("run(['sh', '-c', 'kill -9 $$'])", "killed by SIGKILL"),
        ("run(['no-such-program'])", "no-such-program: not found"),
        ("os._exit(7)", "exit 7"),
    ],
)
def test_failing_recipe_leaves_nothing(project: Project, code: str, message: str) -> None:
    project.dodo(f"""
def bad(b: Build) -> None:
    b.out.write_text("half")
    (b.scratch / "x").write_text("half")
    {code}

def task_bad():
    return artifact("bad", doc="", build=bad, targets=[BUILD / "bad"])
""")
    assert message in one_line(project, "bad", status=2)
    assert project.leftovers() == []
    assert not (project.top / "build/bad").exists()


def test_bug_in_a_recipe_names_the_line(project: Project) -> None:
    project.dodo("""
def bad(b: Build) -> None:
    raise KeyError("oops")

def task_bad():
    return artifact("bad", doc="", build=bad, targets=[BUILD / "bad"])
""")
    assert "bad: FAILED: KeyError: 'oops' (dodo.py:11)" in project.run("bad", status=2).stdout


def test_failed_command_can_be_pasted(project: Project) -> None:
    project.dodo("""
def bad(b: Build) -> None:
    script = "echo $WORD; ls 'no such file'"
    run(["sh", "-c", script], cwd=TOP, env={"WORD": "two words"}, hint="look harder")

def task_bad():
    return artifact("bad", doc="", build=bad, targets=[BUILD / "bad"])
""")
    text = one_line(project, "bad", status=2)
    command = next(line.strip() for line in text.splitlines() if " && WORD=" in line)
    pasted = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert pasted.stdout == "two words\n"
    assert "no such file" in pasted.stderr
    assert "hint: look harder" in text
    log = Path(next(line for line in text.splitlines() if "log: " in line).partition("log: ")[2])
    assert command in log.read_text()


def test_failure_stops_what_depends_on_it(project: Project) -> None:
    project.dodo(
        COPY
        + """
def bad(b: Build) -> None:
    raise BuildError("broken")

def task_all():
    yield artifact("bad", doc="", build=bad, targets=[BUILD / "bad"])
    yield artifact("next", doc="", build=copy, targets=[BUILD / "next"], files=[BUILD / "bad"])
    yield artifact("other", doc="", build=copy, targets=[BUILD / "other"], files=[TOP / "in.txt"])
"""
    )
    project.write("in.txt", "x")
    text = one_line(project, "--continue", "next", "other", status=2)
    assert "bad: FAILED: broken" in text
    assert "next: not made, as it needs bad" in text
    assert "other: done" in text
    assert not (project.top / "build/next").exists()


@pytest.mark.parametrize(
    ("dodo", "message"),
    [
        (
            "raise BuildError('versions.toml: unknown key colour', 'remove it')",
            "versions.toml: unknown key colour",
        ),
        ("def task_x(): raise BuildError('bad lock')", "bad lock"),
        ("def task_x(: pass", "dodo.py:9: SyntaxError"),
        ("import nonsense_module", "dodo.py:9: ModuleNotFoundError"),
        ("def task_x(): return 1 / 0", "dodo.py:9: ZeroDivisionError"),
        ("def task_run(): return artifact('run', doc='', build=print, targets=['x'])", "the name is taken"),
        (
            "def task_x(): return artifact('x', doc='', build=run, targets=['x'], values={'a': {1}})",
            "must be JSON",
        ),
        (
            "def task_x(): return artifact('x', doc='', build=run, targets=['x'], group='toys')",
            "unknown group",
        ),
    ],
)
def test_errors_while_loading(project: Project, dodo: str, message: str) -> None:
    project.dodo(dodo)
    assert message in one_line(project, "list")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["cop"], "did you mean copy?"),
        (["lst"], "did you mean list?"),
        (["build/cpy"], "did you mean build/copy?"),
        (["why", "cop"], "did you mean copy?"),
        (["clean", "cop"], "did you mean copy?"),
        (["help", "lst"], "did you mean list?"),
        (["clean"], "clean needs tasks, or --all"),
        (["completion", "tcsh"], "bash or zsh"),
        (["ci-cache-key", "copy"], "takes no argument: copy"),
    ],
)
def test_wrong_usage(project: Project, arguments: list[str], message: str) -> None:
    project.dodo(
        COPY
        + """
def task_copy():
    return artifact("copy", doc="", build=copy, targets=[BUILD / "copy"])
"""
    )
    assert message in one_line(project, *arguments)


def test_unknown_option(project: Project) -> None:
    project.dodo("")
    assert "--colour" in one_line(project, "list", "--colour", status=3)


BIG = """
def big(b: Build) -> None:
    with b.out.open("wb") as out:
        for _ in range(64):
            out.write(bytes(100_000))

def command(b: Build) -> None:
    with b.out.open("wb") as out:
        run(["cat", TOP / "big.in"], stdout=out)

def task_all():
    yield artifact("big", doc="", build=big, targets=[BUILD / "big"])
    yield artifact("command", doc="", build=command, targets=[BUILD / "command"], files=[TOP / "big.in"])
"""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MB; mounting needs root or a user name space of its own."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "none", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip("a small tmpfs can not be mounted here: " + mounted.stderr.decode())
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.mark.parametrize("task", ["big", "command"])
def test_full_disk(small_disk: Path, task: str) -> None:
    project = Project(small_disk / "checkout")
    project.dodo(BIG)
    project.write("big.in", bytes(1_700_000))
    filler = project.write("filler", b"")
    with filler.open("wb") as out:
        free = os.statvfs(small_disk)
        out.write(bytes(free.f_bavail * free.f_frsize - 900_000))
    text = one_line(project, task, status=2)
    assert "No space left on device" in text
    assert "free some space" in text
    assert project.leftovers() == []
    assert not (project.top / "build" / task).exists()
    filler.unlink()
    project.dodo(BIG.replace("range(64)", "range(10)"))
    assert f"{task}: done" in project.run(task).stdout


def test_full_disk_for_the_database(small_disk: Path) -> None:
    project = Project(small_disk / "checkout")
    project.dodo(BIG.replace("range(64)", "range(1)"))
    project.write("big.in", "x")
    project.run("big")
    with project.write("filler", b"").open("wb", buffering=0) as out:
        while True:
            try:
                out.write(bytes(4096))
            except OSError:
                break
    text = one_line(project, "command", status=1)
    assert "full" in text
    assert "Traceback" not in text
    (project.top / "filler").unlink()
    assert "command: done" in project.run("command").stdout


def test_out_of_file_handles(project: Project) -> None:
    project.dodo("""
def many(b: Build) -> None:
    held = [open(os.devnull) for _ in range(5000)]
    b.out.write_text(str(len(held)))

def task_many():
    return artifact("many", doc="", build=many, targets=[BUILD / "many"])
""")
    done = subprocess.run(
        project.command("many"), cwd="/", env=project.environment(), capture_output=True, text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (200, 200)), timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "Too many open files" in done.stdout
    assert "ulimit -n" in done.stdout
    assert project.leftovers() == []


def test_so_few_file_handles_that_the_run_itself_needs_them_all(project: Project) -> None:
    project.dodo("""
def deep(b: Build) -> None:
    folder = b.scratch.joinpath(*"a path with very many parts of a few letters each".split())
    folder.mkdir(parents=True)
    held = [open(folder / str(number), "w") for number in range(5000)]
    b.out.write_text(str(len(held)))

def task_deep():
    return artifact("deep", doc="", build=deep, targets=[BUILD / "deep"])
""")
    for handles in range(9, 18):
        done = subprocess.run(
            project.command("deep"), cwd="/", env=project.environment(), capture_output=True, text=True,
            preexec_fn=functools.partial(resource.setrlimit, resource.RLIMIT_NOFILE, (handles, handles)),
            timeout=30, check=False,
        )  # fmt: skip
        assert done.returncode, handles
        assert "Traceback" not in done.stderr + done.stdout, handles
        assert project.leftovers() == [], handles


def test_damaged_database_costs_a_rebuild_only(project: Project) -> None:
    project.dodo(
        COPY
        + """
def task_copy():
    return artifact("copy", doc="", build=copy, targets=[BUILD / "copy"], files=[TOP / "in.txt"])
"""
    )
    project.write("in.txt", "x")
    project.run("copy")
    for garbage in (b"", b"garbage" * 1000, (project.top / "build/tasks.db").read_bytes()[:5000]):
        (project.top / "build/tasks.db").write_bytes(garbage)
        assert "copy: done" in project.run("copy").stdout
        assert "nothing to do" in project.run("copy").stdout


def test_damage_in_any_table_costs_a_rebuild_only(project: Project) -> None:
    """A page of another table than the records' own."""
    project.dodo(
        COPY
        + """
def task_copy():
    return artifact("copy", doc="", build=copy, targets=[BUILD / "copy"], files=[TOP / "in.txt"])
"""
    )
    project.write("in.txt", "x")
    project.run("copy")
    database = project.top / "build/tasks.db"
    whole = database.read_bytes()
    page = int.from_bytes(whole[16:18], "big")
    for number in range(1, len(whole) // page):
        damaged = whole[: number * page] + b"\xff" * page + whole[(number + 1) * page :]
        database.write_bytes(damaged)
        done = project.run("copy", status=None)
        assert done.returncode == 0, (number, done.stderr)
        assert "Traceback" not in done.stderr, number
