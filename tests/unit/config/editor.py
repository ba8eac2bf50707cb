"""What an editor sees of a configuration: YAML 1.2, and the published schema."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from jsonschema import Draft202012Validator, ValidationError
from jsonschema.protocols import Validator
from jsonschema.validators import extend

from agent.config import tree
from tasks.lib.paths import TOP

SCHEMA = TOP / "docs" / "cloud-init.schema.json"


def validator() -> Validator:
    """The schema; a pattern's `$` is the very end, as in ECMA-262, and not before a last line end."""

    def pattern(made: Validator, wanted: str, text: object, schema: object) -> Iterator[ValidationError]:
        if isinstance(text, str) and not re.search(wanted.removesuffix("$") + r"\Z", text):
            yield ValidationError(f"{text!r} does not match {wanted!r}")

    schema = json.loads(SCHEMA.read_text())
    Draft202012Validator.check_schema(schema)
    made: Validator = extend(Draft202012Validator, {"pattern": pattern})(schema)
    return made


def plain(node: tree.Node | None) -> object:
    """A tree as values of JSON."""
    if isinstance(node, tree.Mapping):
        return {key.text: plain(value) for key, value in node.entries}
    if isinstance(node, tree.Sequence):
        return [plain(item) for item in node.items]
    if node is None:
        return {}
    meaning = node.meaning()
    if meaning == "integer":
        return int(node.text, 10 if node.text.lstrip("+-").isdecimal() else 0)
    if meaning == "number":
        return float(node.text)
    return {"null": None, "boolean": node.text.lower() == "true"}.get(meaning, node.text)
