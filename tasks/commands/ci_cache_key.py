"""What a CI service keeps between runs, and under which key."""

from __future__ import annotations

import hashlib
import platform

from tasks.lib.engine.command import GraphCommand
from tasks.lib.engine.records import artifact_of
from tasks.lib.paths import BUILD, OUTPUT, TOP, cache_dir

PREFIX = "kubesolo-os"


class Plugin(GraphCommand):
    """The key changes with anything that a task depends on. A cache of an older key is a good start all the
    same, as the engine checks every restored target and rebuilds what is wrong.
    """

    name = "ci-cache-key"
    doc_purpose = "print key, fallback keys and folders for a CI cache, as name=value lines"
    cmd_options = (
        {"name": "github", "long": "github", "type": bool, "default": False,
         "help": "lists in the form of $GITHUB_OUTPUT: one item a line between delimiters"},
    )  # fmt: skip

    def _execute(self, github: bool) -> int:  # type: ignore[override]
        made = {target for task in self.task_list for target in task.targets}
        state = hashlib.sha256()
        for task in self.task_list:
            if (spec := artifact_of(task)) is None:
                continue
            inputs = {path: self.dep_manager.digests.of(path) for path in spec.inputs if path not in made}
            recipe = sorted(self.dep_manager.recipe(spec).items())
            state.update(repr((spec.name, sorted(inputs.items()), spec.values, recipe)).encode())
        system = f"{PREFIX}-{platform.system().lower()}-{platform.machine()}"
        lock = hashlib.sha256((TOP / "versions.lock").read_bytes()).hexdigest() if _has_lock() else "none"
        print(f"key={system}-{lock[:12]}-{state.hexdigest()[:16]}")
        _print_list("restore-keys", [f"{system}-{lock[:12]}-", f"{system}-"], github)
        _print_list("paths", [str(path) for path in (BUILD, OUTPUT, cache_dir())], github)
        return 0


def _print_list(name: str, items: list[str], github: bool) -> None:
    print("\n".join([f"{name}<<END", *items, "END"]) if github else f"{name}={','.join(items)}")


def _has_lock() -> bool:
    return (TOP / "versions.lock").exists()
