"""A module that is changed in one file while a program is compiled from it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks import payload
from tasks.lib.errors import BuildError
from tasks.lib.go import patch as gopatch
from tasks.lib.go import program as golang
from tasks.lib.go.patch import Patch
from tasks.lib.process import run

UUID = "github.com/google/uuid"
GO = f"""package main

import (
	"fmt"

	"{UUID}"
)

func main() {{ fmt.Println(uuid.Nil.Version()) }}
"""


def patch(old: str = "return Version(uuid[6] >> 4)", times: int = 1) -> Patch:
    return Patch(UUID, "uuid.go", ((old, times, "return 9"),))


def module(folder: Path) -> Path:
    """A module that needs the payload's uuid, which is in the cache already."""
    version = (payload.MODULE / "go.mod").read_text().partition(f"{UUID} ")[2].split()[0]
    sums = (payload.MODULE / "go.sum").read_text().splitlines(keepends=True)
    (folder / "main.go").write_text(GO)
    (folder / "go.mod").write_text(f"module x\n\ngo 1.26.8\n\nrequire {UUID} {version}\n")
    (folder / "go.sum").write_text("".join(line for line in sums if line.startswith(f"{UUID} {version}")))
    return folder


def test_two_checkouts_give_the_same_bytes(tmp_path: Path) -> None:
    made = []
    for name in ("one", "the other"):
        source = tmp_path / name / "module"
        source.mkdir(parents=True)
        out = tmp_path / name / "build" / "out"
        golang.compile_program(module(source), golang.Program(patches=(patch(),)), out)
        made.append(out.read_bytes())
    assert made[0] == made[1]
    assert str(tmp_path).encode() not in made[0]


def test_a_program_is_compiled_with_the_change_and_the_cache_is_not_touched(tmp_path: Path) -> None:
    source, out = module(tmp_path), tmp_path / "out"
    golang.compile_program(source, golang.Program(), out)
    assert run([out]).stdout == b"VERSION_0\n"
    golang.compile_program(source, golang.Program(patches=(patch(),)), out)
    assert run([out]).stdout == b"VERSION_9\n"
    first = out.read_bytes()
    golang.compile_program(source, golang.Program(), out)
    assert run([out]).stdout == b"VERSION_0\n"
    golang.compile_program(source, golang.Program(patches=(patch(),)), out)
    assert out.read_bytes() == first


def test_two_files_of_one_module(tmp_path: Path) -> None:
    other = Patch(
        UUID, "util.go", (("func randomBits(", 1, "func init() { Nil[6] = 3 << 4 }\n\nfunc randomBits("),)
    )
    first = Patch(UUID, "uuid.go", (("return Version(uuid[6] >> 4)", 1, "return Version(uuid[6]>>4) + 1"),))
    golang.compile_program(module(tmp_path), golang.Program(patches=(first, other)), tmp_path / "out")
    assert run([tmp_path / "out"]).stdout == b"VERSION_4\n"


@pytest.mark.parametrize(("old", "times"), [("not there", 1), ("return", 1)])
def test_another_version_of_the_file_stops_the_build(tmp_path: Path, old: str, times: int) -> None:
    program = golang.Program(patches=(patch(old, times),))
    with pytest.raises(BuildError, match=r"is there .* times instead of 1"):
        golang.compile_program(module(tmp_path), program, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_half_a_copy_is_not_used(tmp_path: Path) -> None:
    """What an interrupted build left is no part of the next."""
    left = tmp_path / gopatch.PLACE / f"{UUID.replace('/', '-')}-v1.6.0"
    left.mkdir(parents=True)
    (left / "left.go").write_text("package nonsense")
    golang.compile_program(module(tmp_path), golang.Program(patches=(patch(),)), tmp_path / "out")
    assert run([tmp_path / "out"]).stdout == b"VERSION_9\n"
