"""Remove what was built."""

from __future__ import annotations

from pathlib import Path

from doit.task import Task

from tasks.lib.engine.checkout_lock import cache_lock, checkout_lock
from tasks.lib.engine.command import GraphCommand
from tasks.lib.engine.execution import discard, remove
from tasks.lib.engine.records import artifact_of
from tasks.lib.errors import BuildError
from tasks.lib.paths import BUILD, OUTPUT, TOP, cache_dir

OPTIONS = (
    {"name": "everything", "short": "a", "long": "all", "type": bool, "default": False,
     "help": "remove build/ and output/ as a whole; downloads in the cache stay"},
    {"name": "cache", "long": "cache", "type": bool, "default": False,
     "help": "with --all: the cache too, which all checkouts share (not the Python environment)"},
    {"name": "dry_run", "long": "dry-run", "type": bool, "default": False,
     "help": "only say what would be removed"},
)  # fmt: skip


class Plugin(GraphCommand):
    """Remove targets and their records."""

    name = "clean"
    doc_purpose = "remove the targets of tasks, or with --all everything that was built"
    doc_usage = "[TASK ...] [--all [--cache]]"
    cmd_options = OPTIONS

    def _execute(  # type: ignore[override]
        self, everything: bool, cache: bool, dry_run: bool, pos_args: list[str]
    ) -> int:
        if everything == bool(pos_args) or (cache and not everything):
            raise BuildError("clean needs tasks, or --all", "./doit clean --help")
        with checkout_lock(BUILD / ".lock"):
            if everything:
                self._clean_all(cache, dry_run)
            for name in pos_args:
                self._clean(self.find(name), dry_run)
        return 0

    def _clean(self, task: Task, dry_run: bool) -> None:
        self._remove([TOP / target for target in task.targets], dry_run)
        if not dry_run:
            self.dep_manager.remove_success(task)
            if (spec := artifact_of(task)) is not None:
                discard(spec)

    def _clean_all(self, cache: bool, dry_run: bool) -> None:
        """The lock file stays, as others may be waiting for it."""
        self.dep_manager.close()
        paths = [path for path in sorted(BUILD.iterdir()) if path.name != ".lock"] if BUILD.is_dir() else []
        paths.append(OUTPUT)
        self._remove(paths, dry_run)
        if cache and cache_dir().is_dir():
            with cache_lock(cache_dir(), alone=True):
                shared = [path for path in sorted(cache_dir().iterdir()) if path.name != "venv"]
                self._remove(shared, dry_run)

    def _remove(self, paths: list[Path], dry_run: bool) -> None:
        for path in paths:
            if path.exists() or path.is_symlink():
                print(f"{'would remove' if dry_run else 'removed'} {path}")
                if not dry_run:
                    remove(path)
