"""Catches a recipe that reads what it does not declare: such an input could change without a rebuild."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tasks.lib import landlock, process
from tasks.lib.engine.spec import Artifact
from tasks.lib.errors import BuildError
from tasks.lib.paths import TOP, cache_dir

# Recipes may look into these when the task declares what it uses of them as values or tools; the last two
# hold what tasks.lib.debian.drift replaced.
LOCKED = ("versions.lock", "build/drift", "output/drift")
CONFIGURATION = os.path.join(TOP, "versions.toml")
EVENTS = {"open": "opened", "os.listdir": "listed", "os.scandir": "listed"}
ASKED = "asked for"
# What is made is no code, whatever it is called.
NO_CODE = tuple(os.path.join(TOP, folder) + os.sep for folder in ("build", "output"))

# What asks for a file without opening it, for which Python has no audit event.
QUESTIONS = ("stat", "lstat", "access", "readlink")

_allowed: list[tuple[str, tuple[str, ...]]] = []
_installed: list[bool] = []


@contextmanager
def only_declared(spec: Artifact, outs: list[Path], scratch: Path) -> Iterator[None]:
    """Within this block, opening a file of the checkout that is not declared raises BuildError.

    So does asking whether it is there. What this process opens is seen by an audit hook (PEP 578), what it
    asks by functions in the place of those of `os`; its children are held by Landlock, where the kernel has
    it.
    """
    places = [os.path.join(TOP, path) for path in spec.inputs]
    places += [str(path) for path in (*(out.parent for out in outs), scratch)]
    places += [sys.prefix, os.path.realpath(sys.prefix)]
    if spec.values or spec.tools:
        places += [os.path.join(TOP, name) for name in LOCKED]
    if not _installed:
        sys.addaudithook(_check)
        for name in QUESTIONS:
            setattr(os, name, _checked(getattr(os, name)))
        os.open = _beside(os.open)
        _installed.append(True)
    with children_held(places):
        _allowed.append((spec.name, tuple(places)))
        try:
            yield
        finally:
            _allowed.clear()


@contextmanager
def children_held(places: list[str]) -> Iterator[None]:
    """Within this block, programs that are started read nothing else of the checkout.

    They may list the folders of declared files: so a compiler finds its sources, each of which is declared.
    """
    if not landlock.available():
        yield
        return
    cache_dir().mkdir(parents=True, exist_ok=True)
    folders = sorted({os.path.dirname(place) for place in places} - {str(TOP)})
    rules = landlock.ruleset(TOP, [*places, cache_dir()], folders)
    try:
        with process.in_children(functools.partial(landlock.restrict, rules)):
            yield
    finally:
        os.close(rules)


def _check(event: str, arguments: tuple[Any, ...]) -> None:
    """The audit hook; a hook can not be removed, so it does nothing outside of a recipe."""
    if event in EVENTS and _allowed:
        _refuse_undeclared(arguments[0], EVENTS[event])


def _checked(question: Callable[..., Any]) -> Callable[..., Any]:
    """A function of `os` that is refused the same; outside of a recipe it is what it was."""

    @functools.wraps(question)
    def ask(path: Any, *arguments: Any, **options: Any) -> Any:
        if _allowed and options.get("dir_fd") is None:
            _refuse_undeclared(os.fspath(path) if isinstance(path, os.PathLike) else path, ASKED)
        return question(path, *arguments, **options)

    return ask


def _beside(opener: Callable[..., int]) -> Callable[..., int]:
    """os.open, of which the audit event does not say that a name is relative to an open folder: that has
    been checked when it was opened."""

    @functools.wraps(opener)
    def open_(path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if dir_fd is None:
            return opener(path, flags, mode)
        held = _allowed[:]
        _allowed.clear()
        try:
            return opener(path, flags, mode, dir_fd=dir_fd)
        finally:
            _allowed.extend(held)

    return open_


def _refuse_undeclared(path: object, verb: str) -> None:
    """Raises BuildError when the path is one of the checkout which the running recipe does not declare."""
    if not isinstance(path, str | bytes) or not path:
        return
    full = os.path.normpath(os.path.join(os.getcwd(), os.fsdecode(path)))
    if not full.startswith(f"{TOP}{os.sep}"):
        return
    name, places = _allowed[0]
    if any(full == place or full.startswith(place + os.sep) for place in places) or _is_code(verb, full):
        return
    if verb == ASKED and any(place.startswith(full + os.sep) for place in places):
        return
    if full == CONFIGURATION:
        raise BuildError(f"task {name} loads the configuration", "recipes get their values from the build")
    raise BuildError(
        f"task {name} {verb} {os.path.relpath(full, TOP)}, which is not among its inputs",
        "name it in files=, trees= or targets=, or write to b.scratch",
    )


def _is_code(verb: str, full: str) -> bool:
    """Whether this is Python importing a module of the checkout; its source is part of the recipe."""
    if full.startswith(NO_CODE):
        return False
    return verb == "listed" or full.endswith((".py", ".pyc")) or f"{os.sep}__pycache__{os.sep}" in full
