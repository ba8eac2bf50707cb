"""What a recipe is given: where to write, where to work, and how to say how far it is."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tasks.lib.engine.digests import TICK_NS, Digests
from tasks.lib.errors import BuildError

Message = dict[str, Any]


@dataclass
class Build:
    """One execution of a recipe.

    outs: temporary names beside the targets, in the targets' order; the engine renames them when the
    recipe returns, so that a target is either the old one or the whole new one.
    scratch: a folder that is removed afterwards; in it is only .tmp, where temporary files (TMPDIR) go.
    values: those that the task declares, and nothing else of versions.toml.
    """

    outs: list[Path]
    scratch: Path
    report: Callable[[Message], object] = field(default=lambda message: None, repr=False)
    values: Mapping[str, Any] = field(default_factory=dict)
    digests: Digests = field(default_factory=Digests, repr=False)

    @property
    def out(self) -> Path:
        """The temporary name of the first (mostly the only) target."""
        return self.outs[0]

    @property
    def epoch(self) -> int:
        """The date of every file that is made, in seconds since 1970; BuildError when it is not declared."""
        if "epoch" not in self.values:
            raise BuildError("this task uses the date, but does not declare it", "add epoch to its values=")
        return int(self.values["epoch"])

    def sha256(self, path: Path) -> str:
        """The SHA-256 of a finished file, hex; the engine, which asks as well, does not read it again."""
        time.sleep(TICK_NS / 1e9)
        return str(self.digests.of(str(path))).partition(":")[2]

    def progress(self, done: float, total: float, unit: str = "") -> None:
        """Say how far the work is: `done` of `total` (0 when unknown) `unit`s, such as "B" or "packages"."""
        self.report({"progress": [done, total, unit]})

    def note(self, text: str) -> None:
        """Show one line to the user, now in the live display and in the log."""
        self.report({"note": text})
