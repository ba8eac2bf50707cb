"""What a Python module defines, as digests that comments, docstrings and Python versions do not change."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from typing import Any

# Neither changes what code does; some differ between Python versions.
SKIPPED_FIELDS = frozenset({"ctx", "type_comment", "annotation", "returns", "type_params", "kind"})
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
Summary = dict[str, Any]
# No name of Python's begins so. Followed by a decorator's name: what that decorator was put on.
EFFECTS = "@"


def summarise(text: str) -> Summary:
    """The top-level names of a module.

    Returns {"names": {name: {"digest": SHA-256, "refs": [dotted names used], "imports": {...}}},
    "imports": {local name: [module, attribute or ""]}}. The module of a relative import begins with its dots;
    `from x import *` is the local name "*x". EFFECTS is the name of what a module does when it is imported:
    its calls, and its decorated definitions, which a decorator may have noted elsewhere. Raises SyntaxError.
    """
    module = ast.parse(text)
    summary: Summary = {"names": {}, "imports": {}}
    for statement in module.body:
        if isinstance(statement, ast.Import | ast.ImportFrom):
            summary["imports"].update(_imports(statement))
            continue
        entry = {
            "digest": hashlib.sha256("".join(_dump(statement)).encode()).hexdigest(),
            "refs": sorted(set(_references(statement))),
            "imports": _nested_imports(statement),
        }
        for name in _bound_names(statement):
            _add(summary["names"], name, entry)
        if isinstance(statement, ast.Expr) and not isinstance(statement.value, ast.Constant):
            _add(summary["names"], EFFECTS, entry)
        for decorator in _decorators(statement):
            _add(summary["names"], f"{EFFECTS}{decorator}", entry)
        if not isinstance(statement, DOCUMENTED):  # imports under `if` or `try` are visible to the module
            summary["imports"].update(entry["imports"])
    return summary


def _add(names: dict[str, Summary], name: str, entry: Summary) -> None:
    """Note a definition; a name that is bound more than once depends on all of its bindings."""
    if name in names:
        old = names[name]
        entry = {
            "digest": hashlib.sha256((old["digest"] + entry["digest"]).encode()).hexdigest(),
            "refs": sorted({*old["refs"], *entry["refs"]}),
            "imports": {**old["imports"], **entry["imports"]},
        }
    names[name] = entry


def _bound_names(statement: ast.stmt) -> Iterator[str]:
    """The module-level names that a statement defines or changes (`NAMES.append(x)` counts)."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield statement.name
        return
    for node in ast.walk(statement):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store | ast.Del):
            yield node.id
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Subscript | ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield from _root(node)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield from _root(node.func)


def _decorators(statement: ast.stmt) -> Iterator[str]:
    """The dotted names of a definition's decorators."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        for node in statement.decorator_list:
            called = node.func if isinstance(node, ast.Call) else node
            yield _dotted(called) or (called.id if isinstance(called, ast.Name) else "")


def _root(node: ast.expr) -> Iterator[str]:
    while isinstance(node, ast.Subscript | ast.Attribute):
        node = node.value
    if isinstance(node, ast.Name):
        yield node.id


def _references(statement: ast.AST) -> Iterator[str]:
    """Dotted names that code uses; annotations do not count, as nothing runs them."""
    stack: list[ast.AST] = [statement]
    while stack:
        node = stack.pop()
        if isinstance(node, ast.Name):
            yield node.id
            continue
        if isinstance(node, ast.Attribute) and (dotted := _dotted(node)):
            yield dotted
            continue
        for name, value in ast.iter_fields(node):
            if name in SKIPPED_FIELDS:
                continue
            stack.extend(item for item in (value if isinstance(value, list) else [value]) if _is_node(item))


def _is_node(item: object) -> bool:
    return isinstance(item, ast.AST)


def _dotted(node: ast.expr) -> str:
    """`a.b.c` of an attribute chain on a plain name, else ""."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) else ""


def _imports(statement: ast.Import | ast.ImportFrom) -> dict[str, list[str]]:
    if isinstance(statement, ast.Import):
        return {
            alias.asname or alias.name.partition(".")[0]: [
                alias.name if alias.asname else alias.name.partition(".")[0],
                "",
            ]
            for alias in statement.names
        }
    module = "." * statement.level + (statement.module or "")
    return {
        f"*{module}" if alias.name == "*" else alias.asname or alias.name: [module, alias.name]
        for alias in statement.names
    }


def _nested_imports(statement: ast.stmt) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for node in ast.walk(statement):
        if isinstance(node, ast.Import | ast.ImportFrom):
            found.update(_imports(node))
    return found


def _dump(node: object) -> Iterator[str]:
    """A canonical text of a syntax tree."""
    if isinstance(node, ast.AST):
        yield type(node).__name__
        yield "("
        for name, value in ast.iter_fields(node):
            if name in SKIPPED_FIELDS or value is None or value == []:
                continue
            if name == "body" and isinstance(node, DOCUMENTED):
                value = _without_docstring(value)
            elif isinstance(node, ast.JoinedStr):
                value = _merged(value)
            yield f"{name}="
            yield from _dump(value)
        yield ")"
    elif isinstance(node, list):
        yield "["
        for item in node:
            yield from _dump(item)
            yield ","
        yield "]"
    else:
        yield repr(node)


def _without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    first = body[0]
    is_text = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    return body[1:] if is_text and isinstance(first.value.value, str) else body  # type: ignore[attr-defined]


def _merged(values: list[ast.expr]) -> list[object]:
    """The parts of an f-string with neighbouring texts joined: Python versions cut them differently."""
    merged: list[object] = []
    for value in values:
        text = value.value if isinstance(value, ast.Constant) else None
        if isinstance(text, str) and merged and isinstance(merged[-1], str):
            merged[-1] += text
        elif text != "":
            merged.append(text if isinstance(text, str) else value)
    return merged
