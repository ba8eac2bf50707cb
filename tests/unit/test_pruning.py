"""The change to Go's text/template applies exactly, or the build stops."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tasks.lib.errors import BuildError
from tasks.lib.go import toolchain
from tasks.lib.go.program import Program, command, compile_program, go_environment

CALL = "if method := ptr.MethodByName(fieldName); method.IsValid() {"
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


def test_the_call_becomes_indirect() -> None:
    changed = toolchain.change(f"package template\n{CALL}\n")
    assert "if method := methodByName(ptr, fieldName); method.IsValid() {" in changed
    assert changed.endswith("var methodByName = reflect.Value.MethodByName\n")


@pytest.mark.parametrize("source", ["", CALL * 2, CALL + "x.MethodByName(other)", "ptr.MethodByName(name)"])
def test_another_text_template_stops_the_build(source: str) -> None:
    with pytest.raises(BuildError, match="exactly once"):
        toolchain.change(source)


def test_methods_that_nothing_calls_are_left_out(tmp_path: Path) -> None:
    toolchain = Path("payload/go.mod").read_text(encoding="utf-8").split("\ngo ")[1].split("\n")[0]
    (tmp_path / "go.mod").write_text(f"module cat\n\ngo {toolchain}\n")
    (tmp_path / "main.go").write_text(GO)
    program = tmp_path / "cat"
    compile_program(tmp_path, Program(), program)
    assert b"nothing_calls_it" not in program.read_bytes()
    said = subprocess.run([program, "{{.text}}"], capture_output=True, check=True)
    assert said.stdout == b"meow"
    plain = tmp_path / "plain"
    subprocess.run([command(), "build", "-o", plain, "."], cwd=tmp_path, check=True,
                   env=go_environment(tmp_path) | {"HOME": str(tmp_path)})  # fmt: skip
    assert b"nothing_calls_it" in plain.read_bytes()
