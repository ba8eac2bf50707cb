"""Remove what was built."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tasks.lib.engine.checkout_lock import cache_lock, checkout_lock
from tasks.lib.engine.command import GraphCommand, option
from tasks.lib.engine.execution import discard, remove
from tasks.lib.engine.records import artifact_of
from tasks.lib.errors import BuildError
from tasks.lib.paths import BUILD, OUTPUT, TOP, cache_dir


class Plugin(GraphCommand):
    """Remove targets and their records."""

    doc_purpose = "remove the targets of tasks, or with --all everything that was built"
    doc_usage = "[TASK ...] [--all [--cache]]"
    cmd_options = (
        option("all", False, "remove build/ and output/ as a whole; downloads in the cache stay", "a"),
        option(
            "cache",
            False,
            "with --all: the cache too, which all checkouts share (not the Python environment)",
        ),
        option("dry-run", False, "only say what would be removed"),
    )

    def work(self, options: dict[str, Any], names: list[str]) -> int:
        """Remove what the names and options say."""
        if options["all"] == bool(names) or (options["cache"] and not options["all"]):
            raise BuildError("clean needs tasks, or --all", "./doit clean --help")
        self._dry_run = options["dry_run"]
        tasks = [self.find(name) for name in names]
        with checkout_lock(BUILD / ".lock"):
            if options["all"]:
                self._clean_all(options["cache"])
            for task in tasks:
                self._remove(TOP / target for target in task.targets)
                if not self._dry_run:
                    self.records.remove_success(task)
                    discard(artifact_of(task))
        return 0

    def _clean_all(self, cache: bool) -> None:
        """The lock file stays, as others may be waiting for it."""
        self.records.close()
        self._remove([*(path for path in sorted(BUILD.glob("*")) if path.name != ".lock"), OUTPUT])
        if cache and cache_dir().is_dir():
            with cache_lock(cache_dir(), alone=True):
                self._remove(path for path in sorted(cache_dir().iterdir()) if path.name != "venv")

    def _remove(self, paths: Iterable[Path]) -> None:
        for path in paths:
            if path.exists() or path.is_symlink():
                print(f"{'would remove' if self._dry_run else 'removed'} {path}")
                if not self._dry_run:
                    remove(path)
