"""Programs that the tests run on the host, compiled from Go modules of their own."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tasks.lib.arch import HOST
from tasks.lib.engine import Build, artifact
from tasks.lib.go.program import Program, Variables, compile_program
from tasks.lib.paths import BUILD, TOP

HELM = TOP / "tests" / "helm"


def build_helm(go: Variables, b: Build) -> None:
    """Compile Helm."""
    compile_program(HELM, Program("helm.sh/helm/v4/cmd/helm"), b.out, go, b.progress)
    b.out.chmod(0o755)


def helm() -> Path:
    """Helm's program."""
    return BUILD / HOST.name / "test-tools" / "helm"


def tasks() -> Iterator[dict[str, object]]:
    """The tests' tools."""
    yield artifact(
        "test-tools",
        doc="Helm, for the tests",
        build=partial(build_helm, HOST.go),
        targets=[helm()],
        files=[HELM / "go.mod", HELM / "go.sum"],
        group="tests",
    )
