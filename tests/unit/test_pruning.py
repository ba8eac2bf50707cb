"""The change to Go's text/template applies exactly, or the build stops."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tasks import addons, payload
from tasks.lib.errors import BuildError
from tasks.lib.go.patch import TOOLCHAIN, read_patch, read_patches
from tasks.lib.go.program import Program, command, compile_program, go_environment
from tasks.lib.go.program import flags as flags_of
from tasks.lib.process import run

GO = """package main

import (
	"os"
	"text/template"
)

type Cat struct{}

func (Cat) Bark() string { return "nothing_calls_it" }

func main() {
	data := map[string]any{"cat": Cat{}, "text": "meow"}
	template.Must(template.New("").Parse(os.Args[1])).Execute(os.Stdout, data)
}
"""


def toolchain_patches() -> tuple[Path, ...]:
    """Those of Go's own library."""
    return tuple(path for path in payload.PATCHES if read_patch(path).module == TOOLCHAIN)


def test_another_text_template_stops_the_build(tmp_path: Path) -> None:
    (patch,) = (patch for patch in read_patches(payload.PATCHES) if patch.module == TOOLCHAIN)
    (name,) = patch.files()
    (tmp_path / name).parent.mkdir(parents=True)
    (tmp_path / name).write_text("package template\n")
    with pytest.raises(BuildError, match="does not fit go"):
        patch.apply(tmp_path)


@pytest.mark.timeout(1800)
def test_only_audited_packages_use_text_template(tmp_path: Path) -> None:
    """A template that calls a method which the linker has left out ends the program."""
    go, flags, env = flags_of(payload.MODULE, payload.KUBESOLO, tmp_path)
    form = "{{.ImportPath}}{{range .Imports}} {{.}}{{end}}"
    said = run([go, "list", *flags, "-deps", "-f", form, "."], cwd=payload.MODULE, env=env).stdout.decode()
    rows = [line.split() for line in said.splitlines()]
    found = sorted(row[0] for row in rows if {"text/template", "html/template"} & set(row[1:]))
    audited = (payload.MODULE / "patches" / "text-template.importers").read_text().splitlines()
    assert found == [line for line in audited if not line.startswith("#")]


def test_only_a_program_that_asks_for_it_is_pruned() -> None:
    library = set(payload.LIBRARY_PATCHES)
    pruned = {path for path, program in payload.HELPERS.items() if library & set(program.patches)}
    assert pruned == {"usr/bin/containerd-shim-runc-v2"}
    assert list(payload.LIBRARY_PATCHES) == list(toolchain_patches())
    assert addons.PROGRAM.patches == ()


def test_methods_that_nothing_calls_are_left_out(tmp_path: Path) -> None:
    version = Path("payload/go.mod").read_text(encoding="utf-8").split("\ngo ")[1].split("\n")[0]
    (tmp_path / "go.mod").write_text(f"module cat\n\ngo {version}\n")
    (tmp_path / "main.go").write_text(GO)
    program = tmp_path / "cat"
    compile_program(tmp_path, Program(patches=toolchain_patches()), program)
    assert b"nothing_calls_it" not in program.read_bytes()
    said = subprocess.run([program, "{{.text}}"], capture_output=True, check=True)
    assert said.stdout == b"meow"
    plain = tmp_path / "plain"
    subprocess.run([command(), "build", "-o", plain, "."], cwd=tmp_path, check=True,
                   env=go_environment(tmp_path) | {"HOME": str(tmp_path)})  # fmt: skip
    assert b"nothing_calls_it" in plain.read_bytes()
