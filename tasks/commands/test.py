"""Run the tests, having built what they test."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from tasks.lib.engine.capacity import memory, processors
from tasks.lib.engine.command import GraphCommand
from tasks.lib.engine.main import build
from tasks.lib.engine.records import artifact_of
from tasks.lib.paths import TOP

DESCRIPTION = """\
Everything after the command goes to pytest: ./doit test -k ready, ./doit test tests/unit. Only tests/vm needs
products, so nothing is built when just other folders are named. Tests that build products again and again
(marked `long`) run with ./doit test-all. Several files of tests run at once where the machine bears it;
pytest's -n 0 ends that."""
# Said at the end: which tests the time went to.
SLOWEST = ("--durations=40", "--durations-min=10")
# What a worker may need at most: two machines of 2 to 4 GiB, and room for the host's cache of their disks.
WORKER_MEMORY = 8 << 30
WITHOUT_PRODUCTS = ("tests/unit", "tests/device", "tests/long")


class Plugin(GraphCommand):
    """Linters, unit, device and VM tests."""

    doc_purpose = "run linters, unit, device and VM tests (pytest); builds what they test"
    doc_usage = "[PYTEST ARGUMENTS]"
    doc_description = DESCRIPTION  # type: ignore[assignment]
    selection: tuple[str, ...] = ("-m", "not long")

    def parse_execute(self, in_args: list[str]) -> int:
        """All arguments are pytest's."""
        in_args = [_absolute(text) for text in in_args]
        if _needs_products(in_args):
            self.execute({}, [])
        os.chdir(TOP)
        sys.stdout.flush()
        words = [*SLOWEST, *workers(in_args), *self.selection, *in_args]
        os.execv(sys.executable, [sys.executable, "-m", "pytest", *words])
        raise AssertionError("not reached")

    def work(self, options: dict[str, Any], names: list[str]) -> int:
        """Build the products, and what exists only for tests."""
        from dodo import PRODUCTS

        wanted = {product.task for product in PRODUCTS}
        wanted |= {name for name, task in self.tasks.items() if artifact_of(task).group == "tests"}
        self.records.close()
        build(*(name for name in self.tasks if name in wanted))
        return 0


def workers(arguments: list[str]) -> list[str]:
    """pytest's words for as many tests at once as processors and memory bear; none for single files."""
    if any(text.partition("::")[0].endswith(".py") for text in arguments):
        return []
    count = min(processors(), memory() // WORKER_MEMORY)
    return [f"--numprocesses={count}", "--no-loadscope-reorder"] if count > 1 else []


def _needs_products(arguments: list[str]) -> bool:
    """Whether the tests may include some of tests/vm."""
    named = [os.path.relpath(text.partition("::")[0], TOP) for text in arguments if text.startswith("/")]
    return not named or not all(path.startswith(WITHOUT_PRODUCTS) for path in named)


def _absolute(text: str) -> str:
    """A path, from where the user stands or from the checkout, as absolute path; all else as it is."""
    path, found, rest = text.partition("::")
    if "/" in path or path.endswith(".py"):
        for place in (Path.cwd() / path, TOP / path):
            if place.exists():
                return f"{place.resolve()}{found}{rest}"
    return text
