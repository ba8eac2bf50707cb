"""Cases of the corpus: a configuration and the messages it is to give, many to a file, to be read as diffs.

A case begins with `=== title`; with `(not in the schema)` behind it, an editor's schema cannot see the error.
After a line `---` come the messages. `KUBESOLO_GOLDEN=write` makes a run write down what is.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

CORPUS = Path(__file__).with_name("corpus")
BEYOND = " (not in the schema)"
WRITE = os.environ.get("KUBESOLO_GOLDEN") == "write"


class Case(NamedTuple):
    """One case; `text` ends with a line end."""

    file: Path
    title: str
    text: str
    messages: str

    @property
    def in_schema(self) -> bool:
        return not self.title.endswith(BEYOND)

    @property
    def id(self) -> str:
        return f"{self.file.stem}: {self.title.removesuffix(BEYOND)}"


def read(file: Path) -> Iterator[Case]:
    """The cases of a file."""
    for block in file.read_text().split("=== ")[1:]:
        title, _, rest = block.partition("\n")
        text, _, messages = rest.rstrip("\n").rpartition("\n---")
        yield Case(file, title, f"{text.rstrip()}\n", messages.strip("\n"))


def all_cases() -> list[Case]:
    return [case for file in sorted(CORPUS.glob("*.txt")) for case in read(file)]


def write(file: Path, cases: list[Case]) -> None:
    blocks = [f"=== {case.title}\n{case.text}---\n{case.messages}\n" for case in cases]
    file.write_text("\n".join(blocks))
