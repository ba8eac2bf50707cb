"""What is published of the configuration's keys: a JSON Schema, and the tables in docs/cloud-init.md."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from agent.config.keys import ROOT
from agent.config.kinds import Kind, ListOf
from agent.config.networkkeys import CARD_KEYS
from agent.config.records import Key, Record, Table
from tasks.lib.errors import BuildError
from tasks.lib.paths import TOP

SCHEMA = TOP / "docs" / "cloud-init.schema.json"
PAGE = TOP / "docs" / "cloud-init.md"
BEGIN = "<!-- The rest of this section is made by `./doit docs`. -->"
END = "<!-- End of what is made. -->"
DIALECT = "https://json-schema.org/draft/2020-12/schema"
TITLE = "Configuration of KubeSolo OS (cloud-init YAML)"


def files() -> dict[Path, str]:
    """The files with the text that they should have."""
    return {SCHEMA: schema_text(), PAGE: page_text(PAGE.read_text())}


def schema_text() -> str:
    """The JSON Schema of draft 2020-12."""
    made = {"$schema": DIALECT, "title": TITLE, **ROOT.schema()}
    made["type"] = ["object", "null"]
    return json.dumps(made, indent=1, ensure_ascii=False) + "\n"


def page_text(page: str) -> str:
    """The page with the keys between its two marks; raises BuildError when they are missing."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise BuildError(f"{PAGE} has not both of the lines that mark what is made", f"{BEGIN}\n{END}")
    return f"{before}{BEGIN}\n\n{''.join(sections())}{END}{after}"


def sections() -> Iterator[str]:
    """A heading and a table for each mapping, the top first."""
    yield table("The file", ROOT, "")
    for key in ROOT.keys.values():
        yield from below(key.name, key.kind)


def below(path: str, kind: Kind) -> Iterator[str]:
    """The tables of a key's value, and of what is in it."""
    if isinstance(kind, ListOf):
        yield from below(f"{path}[]", kind.item)
    elif isinstance(kind, Table):
        yield from below(f"{path}.NAME", kind.record)
    elif isinstance(kind, Record) and path != "network.cards[]":
        yield table(f"`{path}`", kind, path)
        for key in kind.keys.values():
            if not key.ignored:
                yield from below(f"{path}.{key.name}", key.kind)


def table(title: str, record: Record, path: str) -> str:
    """The keys of one mapping."""
    rows = [row(key, key.name in record.needed) for key in record.keys.values() if not key.ignored]
    ignored = [f"`{key.name}`" for key in record.keys.values() if key.ignored]
    text = "\n".join(
        [f"### {title}\n", "| key | value | default | what it is for |", "|---|---|---|---|", *rows]
    )
    if ignored:
        text += f"\n\nOf netplan, without effect here and warned about: {', '.join(ignored)}."
    return f"{text}\n\n"


def row(key: Key, needed: bool) -> str:
    """One key."""
    example = f" Example: `{key.example}`." if key.example else ""
    default = "needed" if needed else f"`{key.default}`" if key.default else ""
    cells = (f"`{key.name}`", allowed(key), default, key.text + example)
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def allowed(key: Key) -> str:
    """What a value may be, in few words: a mapping has a table of its own."""
    kind = key.kind
    if isinstance(kind, ListOf) and isinstance(kind.item, Record):
        same = kind.item.keys.keys() == {each.name for each in CARD_KEYS}
        return "a list of mappings" + (" with the keys of one card" if same else "; see below")
    return "a mapping; see below" if isinstance(kind, Record | Table) else kind.allowed
