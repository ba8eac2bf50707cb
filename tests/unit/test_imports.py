"""Imports of the builder point down only; commands and task modules stand above all of tasks/lib."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

from tasks.lib.paths import TOP

LIB = TOP / "tasks" / "lib"
# From the bottom; a domain may import itself and what stands before it.
BASE = ("errors", "paths", "text", "landlock", "process", "rules", "config", "arch", "target", "provider")
DOMAINS = (
    *("net", "debian", "code", "engine", "formats", "boot", "kernel", "go", "release", "airgap", "vm"),
    *("bench", "conformance"),
)
# Downwards by content, upwards by name: what they measure is the builder itself.
EXCEPTIONS = {
    ("bench", f"tasks.{name}") for name in ("kernel", "payload", "rootfs", "update", "userland")
} | {("bench", "dodo")}
# It runs before there is an environment, with the standard library alone.
ALONE = "environment"


def imported(path: Path) -> Iterator[str]:
    """Full names of the builder's modules that a module imports, wherever it does."""
    for node in ast.walk(ast.parse(path.read_text())):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports are not followed"
            names = [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
        for name in names:
            if name.split(".")[0] in ("tasks", "dodo", "tests") and exists(name):
                yield name


def exists(name: str) -> bool:
    """Whether that is a module, not a name in one or a package alone."""
    return (TOP / name.replace(".", "/")).with_suffix(".py").is_file()


def rank(module: str) -> tuple[int, str]:
    """How high a module stands, and its domain."""
    parts = module.split(".")
    if parts[:2] != ["tasks", "lib"]:
        return 1000, module
    if parts[2] in BASE:
        return BASE.index(parts[2]), parts[2]
    return 100 + DOMAINS.index(parts[2]), parts[2]


def test_imports_of_the_library_point_down() -> None:
    wrong = []
    for path in sorted(LIB.rglob("*.py")):
        module = ".".join(path.relative_to(TOP).with_suffix("").parts).removesuffix(".__init__")
        if module in ("tasks.lib", f"tasks.lib.{ALONE}"):
            continue
        own, domain = rank(module)
        for name in imported(path):
            other, _ = rank(name)
            if other > own and (domain, name) not in EXCEPTIONS:
                wrong.append(f"{module} imports {name}")
    assert wrong == []


def test_no_module_imports_itself_by_way_of_others() -> None:
    """Also within a domain, and in functions."""
    graph = {}
    for path in sorted((TOP / "tasks").rglob("*.py")):
        module = ".".join(path.relative_to(TOP).with_suffix("").parts)
        graph[module] = {name for name in imported(path) if name != "dodo"}
    TopologicalSorter(graph).prepare()


def test_nothing_outside_of_these_domains_is_in_the_library() -> None:
    found = {path.stem for path in LIB.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert found == {"__init__", ALONE, *BASE, *DOMAINS}


def test_the_agent_stands_below_everything() -> None:
    """It runs on the node with the standard library and PyYAML; `_sha2` is hashlib's since Python 3.12."""
    allowed = {*sys.stdlib_module_names, "_sha2", "agent", "yaml"}
    for path in sorted((TOP / "agent").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert {name.split(".")[0] for name in names} <= allowed, path
