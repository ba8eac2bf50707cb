"""The linters, as tests: what the tree must satisfy at every commit."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from tasks import addons, payload
from tasks.lib.debian import tools
from tasks.lib.go import program
from tasks.lib.go.modules import CLASSIFIER
from tasks.lib.paths import TOP
from tasks.lib.process import environment

GO_MODULES = {
    payload.MODULE: payload.KUBESOLO,
    addons.COREDNS_SOURCE: addons.PROGRAM,
    CLASSIFIER: program.Program(),
}
IGNORED = {".git", ".venv", "build", "output", "__pycache__"}


def check(argv: Iterable[str | Path], cwd: Path = TOP, env: dict[str, str] | None = None) -> str:
    """Run a linter; its complaints are the assertion's message."""
    words = [str(word) for word in argv]
    done = subprocess.run(words, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(words[:4])} …\n{done.stdout}{done.stderr}"
    return done.stdout


def test_ruff() -> None:
    check([sys.executable, "-m", "ruff", "check", "--no-cache", "."])


def test_python_is_formatted() -> None:
    check([sys.executable, "-m", "ruff", "format", "--no-cache", "--check", "--diff", "."])


@pytest.mark.timeout(600)
def test_mypy() -> None:
    check([sys.executable, "-m", "mypy"])


def test_shellcheck() -> None:
    """The scripts that run where people build; tests/device checks those of the node."""
    words: list[str | Path] = [*tools.command("shellcheck"), "--shell=sh", TOP / "doit", TOP / ".ci/run"]
    check(words, env=environment(tools.environment()))


@pytest.mark.parametrize("module", GO_MODULES, ids=lambda module: module.name)
def test_nothing_is_printed_past_the_journal(module: Path) -> None:
    """Go's own print and println are for looking into a program while one writes it."""
    found = [
        f"{path}:{number}"
        for path in module.rglob("*.go")
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if re.match(r"\s*print(ln)?\(", line)
    ]
    assert found == []


def test_modules_stay_small() -> None:
    """A module that grows past what one reads in a sitting is two modules."""
    long = {}
    for folder, folders, files in os.walk(TOP / "tasks"):
        folders[:] = [name for name in folders if name not in IGNORED]
        for name in files:
            path = Path(folder, name)
            if path.suffix == ".py" and (lines := len(path.read_text().splitlines())) > 330:
                long[str(path.relative_to(TOP))] = lines
    assert long == {}


@pytest.mark.parametrize("module", GO_MODULES, ids=lambda module: module.name)
def test_gofmt(module: Path) -> None:
    files = [path for path in module.rglob("*.go") if "testdata" not in path.parts]
    assert files
    gofmt: list[str | Path] = [program.command(), "run", "cmd/gofmt", "-l", *files]
    env = environment(program.go_environment(module))
    assert check(gofmt, cwd=module, env=env) == ""


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("module", GO_MODULES, ids=lambda module: module.name)
def test_go_vet(module: Path, tmp_path: Path) -> None:
    """With the toolchain and flags of the build, so that its compiled packages are used."""
    go, flags, env = program.flags(module, GO_MODULES[module], tmp_path)
    check([go, "vet", *flags, "./..."], cwd=module, env=environment(env))
