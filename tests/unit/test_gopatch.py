"""A module that is changed in one file while a program is compiled from it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tasks import payload
from tasks.lib.errors import BuildError
from tasks.lib.go import patch as gopatch
from tasks.lib.go import program as golang
from tasks.lib.process import run

UUID = "github.com/google/uuid"
GO = f"""package main

import (
	"fmt"

	"{UUID}"
)

func main() {{ fmt.Println(uuid.Nil.Version()) }}
"""


HEADER = f"""Description: for a test
Module: {UUID}
Forwarded: not-needed
Drop-When: never
"""


def patch(folder: Path, old: str = "return Version(uuid[6] >> 4)", new: str = "return 9") -> Path:
    """A patch file that changes a line of a copy of the module's uuid.go."""
    lines = (source_folder() / "uuid.go").read_text().splitlines()
    found = [number for number, line in enumerate(lines, 1) if line.strip() == old]
    number = found[0] if found else 5
    before, after = lines[number - 2], lines[number]
    text = f"--- a/uuid.go\n+++ b/uuid.go\n@@ -{number - 1},3 +{number - 1},3 @@\n"
    text += f" {before}\n-\t{old}\n+\t{new}\n {after}\n"
    path = folder / "uuid-nine.patch"
    path.write_text(f"{HEADER}\n{text}")
    return path


def source_folder() -> Path:
    """The module in the cache."""
    version = (payload.MODULE / "go.mod").read_text().partition(f"{UUID} ")[2].split()[0]
    env = golang.go_environment(payload.MODULE)
    words: list[str | Path] = [golang.command(), "mod", "download", "-json", f"{UUID}@{version}"]
    said = run(words, cwd=payload.MODULE, env=env)
    return Path(json.loads(said.stdout)["Dir"])


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
        golang.compile_program(module(source), golang.Program(patches=(patch(tmp_path),)), out)
        made.append(out.read_bytes())
    assert made[0] == made[1]
    assert str(tmp_path).encode() not in made[0]


def test_a_program_is_compiled_with_the_change_and_the_cache_is_not_touched(tmp_path: Path) -> None:
    source, out = module(tmp_path), tmp_path / "out"
    golang.compile_program(source, golang.Program(), out)
    assert run([out]).stdout == b"VERSION_0\n"
    golang.compile_program(source, golang.Program(patches=(patch(tmp_path),)), out)
    assert run([out]).stdout == b"VERSION_9\n"
    first = out.read_bytes()
    golang.compile_program(source, golang.Program(), out)
    assert run([out]).stdout == b"VERSION_0\n"
    golang.compile_program(source, golang.Program(patches=(patch(tmp_path),)), out)
    assert out.read_bytes() == first


def test_another_version_of_the_file_stops_the_build(tmp_path: Path) -> None:
    program = golang.Program(patches=(patch(tmp_path, "not there"),))
    with pytest.raises(BuildError, match=f"uuid-nine.patch does not fit {UUID}"):
        golang.compile_program(module(tmp_path), program, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("field", gopatch.HEADER)
def test_every_patch_says_why_and_until_when(tmp_path: Path, field: str) -> None:
    path = patch(tmp_path)
    path.write_text(path.read_text().replace(f"{field}: ", "X-None: "))
    with pytest.raises(BuildError, match=f"its header lacks {field}"):
        gopatch.read_patch(path)


def test_the_payloads_patches_are_complete() -> None:
    found = gopatch.read_patches(payload.PATCHES)
    assert {patch.module for patch in found} == {
        "go", "github.com/containernetworking/plugins", "github.com/emicklei/go-restful/v3",
        "github.com/k3s-io/kine", "k8s.io/apiserver", "k8s.io/client-go", "k8s.io/kubectl",
    }  # fmt: skip
    assert all(patch.files() for patch in found)


def test_half_a_copy_is_not_used(tmp_path: Path) -> None:
    """What an interrupted build left is no part of the next."""
    left = tmp_path / gopatch.PLACE / f"{UUID.replace('/', '-')}@v1.6.0"
    left.mkdir(parents=True)
    (left / "left.go").write_text("package nonsense")
    golang.compile_program(module(tmp_path), golang.Program(patches=(patch(tmp_path),)), tmp_path / "out")
    assert run([tmp_path / "out"]).stdout == b"VERSION_9\n"
