"""What a CI service keeps between runs, and under which key."""

from __future__ import annotations

import hashlib
import platform
from typing import Any

from tasks.lib.engine.command import GraphCommand, option
from tasks.lib.engine.records import artifact_of
from tasks.lib.paths import BUILD, OUTPUT, TOP, cache_dir


class Plugin(GraphCommand):
    """The key changes with anything that a task depends on. A cache of an older key is a good start all the
    same, as the engine checks every restored target and rebuilds what is wrong.
    """

    doc_purpose = "print key, fallback keys and folders for a CI cache, as name=value lines"
    cmd_options = (
        option("github", False, "lists in the form of $GITHUB_OUTPUT: one item a line between delimiters"),
    )

    def work(self, options: dict[str, Any], names: list[str]) -> int:
        """Print it."""
        state = hashlib.sha256()
        for spec in map(artifact_of, self.tasks.values()):
            inputs = [path for path in spec.inputs if path not in self.control.targets]
            digests = [(path, self.records.digests.of(path)) for path in inputs]
            recipe = sorted(self.records.recipe(spec).items())
            state.update(repr((spec.name, digests, spec.values, recipe)).encode())
        system = f"kubesolo-os-{platform.system().lower()}-{platform.machine()}"
        lock = TOP / "versions.lock"
        locked = hashlib.sha256(lock.read_bytes()).hexdigest()[:12] if lock.exists() else "none"
        print(f"key={system}-{locked}-{state.hexdigest()[:16]}")
        lists = {
            "restore-keys": [f"{system}-{locked}-", f"{system}-"],
            "paths": [str(path) for path in (BUILD, OUTPUT, cache_dir())],
        }
        for name, items in lists.items():
            print(
                "\n".join([f"{name}<<END", *items, "END"])
                if options["github"]
                else f"{name}={','.join(items)}"
            )
        return 0
