"""docs/benchmarks.md: prose by people, tables between markers by measurements; raw results as JSON."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tasks.lib.errors import BuildError
from tasks.lib.paths import OUTPUT, TOP

DOCUMENT = TOP / "docs" / "benchmarks.md"
RESULTS = OUTPUT / "bench"


def store(name: str, result: dict[str, Any]) -> Path:
    """Keep a raw result as output/bench/NAME.json."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(result, indent=1, sort_keys=True) + "\n")
    return path


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table; all columns but the first are aligned to the right."""
    lines = [" | ".join(head), " | ".join(["---", *["---:"] * (len(head) - 1)])]
    lines += [" | ".join(str(cell) for cell in row) for row in rows]
    return "\n".join(f"| {line} |" for line in lines)


def replace_section(text: str, name: str, content: str) -> str:
    """The text with what stands between `<!-- NAME -->` and `<!-- /NAME -->` replaced.

    Raises BuildError when the markers are missing or stand there twice.
    """
    pattern = re.compile(rf"(<!-- {re.escape(name)} -->\n).*?(<!-- /{re.escape(name)} -->)", re.DOTALL)
    found = pattern.findall(text)
    if len(found) != 1:
        raise BuildError(
            f"{DOCUMENT.name}: {len(found)} sections {name}",
            f"put <!-- {name} --> and <!-- /{name} --> there, once",
        )
    return pattern.sub(lambda match: f"{match[1]}{content.strip()}\n{match[2]}", text)


def publish(name: str, content: str, document: Path | None = None) -> None:
    """Put a section into a document, by default the benchmarks', at once or not at all."""
    document = document or DOCUMENT
    scratch = document.with_suffix(f".{os.getpid()}")
    scratch.write_text(replace_section(document.read_text(), name, content))
    scratch.rename(document)
