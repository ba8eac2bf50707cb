"""The builder's own graph: its longest chain, and the same for plain doit, to compare with."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tasks.lib.process import run

DUMP = """
import json, sys
sys.path.insert(0, ".")
import dodo
found = []
for name in dir(dodo):
    if name.startswith("task_"):
        made = getattr(dodo, name)()
        found += [made] if isinstance(made, dict) else list(made)
keys = ("file_dep", "targets")
paths = [{key: [str(path) for path in task.get(key, [])] for key in keys} for task in found]
json.dump([{"name": task.get("basename", ""), **each} for task, each in zip(found, paths)], sys.stdout)
"""


@dataclass(frozen=True)
class Rule:
    """What one task reads and makes: files, as absolute paths; and the task's name."""

    inputs: tuple[str, ...]
    targets: tuple[str, ...]
    name: str = ""


def read_rules(checkout: Path) -> list[Rule]:
    """The tasks of a checkout that make files, with source folders as the files in them.

    Raises BuildError when its dodo.py can not be loaded.
    """
    found = json.loads(run([sys.executable, "-c", DUMP], cwd=checkout).stdout)
    rules = []
    for task in found:
        inputs = [path for name in task["file_dep"] for path in files_below(checkout / name)]
        targets = [str(checkout / name) for name in task["targets"]]
        if targets:
            rules.append(Rule(tuple(sorted(set(inputs))), tuple(targets), task["name"]))
    return rules


def longest_chain(rules: Sequence[Rule], seconds: Mapping[str, float]) -> tuple[float, list[str]]:
    """The chain of tasks, each needing the one before, that takes longest: its seconds and its tasks.

    seconds: by task; a task that is not in it was not needed.
    """
    maker = {target: rule for rule in rules for target in rule.targets}
    found: dict[str, tuple[float, list[str]]] = {}

    def chain(rule: Rule) -> tuple[float, list[str]]:
        if rule.name not in found:
            needed = {maker[path].name: maker[path] for path in rule.inputs if path in maker}
            before = max((chain(other) for other in needed.values()), default=(0.0, []))
            found[rule.name] = (before[0] + seconds[rule.name], [*before[1], rule.name])
        return found[rule.name]

    return max((chain(rule) for rule in rules if rule.name in seconds), default=(0.0, []))


def files_below(path: Path) -> Iterator[str]:
    """The path itself, or every regular file below a folder."""
    if not path.is_dir():
        yield str(path)
        return
    for folder, _, names in os.walk(path):
        yield from (str(Path(folder, name)) for name in names if not Path(folder, name).is_symlink())


def write_doit(rules: Sequence[Rule], folder: Path) -> None:
    """A dodo.py for doit as it comes."""
    text = f"RULES = {[(rule.inputs, rule.targets) for rule in rules]!r}\n"
    text += "DOIT_CONFIG = {'verbosity': 0}\n\n\ndef task_all():\n    for inputs, targets in RULES:\n"
    text += "        yield {'name': targets[0].replace('=', '_'), 'file_dep': list(inputs),\n"
    text += "               'targets': list(targets), 'actions': [['touch', *targets]]}\n"
    (folder / "dodo.py").write_text(text)


def measure(
    argv: Sequence[str], folder: Path, repeat: int, env: Mapping[str, str] | None = None
) -> list[float]:
    """Run a command `repeat` times after one for warming up; the wall-clock seconds of each.

    Raises BuildError when it fails.
    """
    seconds = []
    for _ in range(repeat + 1):
        start = time.monotonic()
        run(argv, cwd=folder, env=env)
        seconds.append(time.monotonic() - start)
    return seconds[1:]
