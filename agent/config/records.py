"""Mappings: with known keys, each described in words, or with names that the author chooses."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence

from agent.config import tree
from agent.config.fields import Fields
from agent.config.kinds import BAD, Kind, Schema, described
from agent.config.problems import SHOWN, Problems, join, nearest

# No token or key is shorter.
SECRET_LENGTH = 16


class Key:
    """A key of a record: what it is for, in words for the documentation and for editors.

    `default` and `example` are YAML. `ignored` is why the key is accepted without effect. `alias` is the name
    of the key that it means.
    """

    def __init__(
        self, name: str, kind: Kind, text: str, *, default: str = "", example: str = "",
        secret: bool = False, ignored: str = "", alias: str = "",
    ) -> None:  # fmt: skip
        self.name = name
        self.kind = kind
        self.text = text
        self.default = default
        self.example = example
        self.secret = secret
        self.ignored = ignored
        self.alias = alias


def once(
    mapping: tree.Mapping, path_of: Callable[[str, str], str], fields: Fields, problems: Problems
) -> Iterator[tuple[tree.Scalar, tree.Node]]:
    """The entries of a mapping without keys that are there again, which are complained about and spoilt."""
    seen: dict[str, int] = {}
    for name, value in mapping.entries:
        if name.text in seen:
            what = f"is there twice, in line {seen[name.text]} and in line {name.place[0]}; keep one"
            problems.error(name.place, path_of(fields.path, name.text), what)
            fields.spoil(name.text, name.place)
        else:
            seen[name.text] = name.place[0]
            yield name, value


class Record(Kind):
    """A mapping with known keys. Of `forms`, sets of names, only one may be used at a time.

    `foreign` has words for keys that people bring along from elsewhere; with `open_`, others are no matter.
    """

    def __init__(
        self, *keys: Key, forms: Sequence[tuple[str, tuple[str, ...]]] = (),
        needed: tuple[str, ...] = (), foreign: dict[str, str] | None = None, open_: bool = False,
    ) -> None:  # fmt: skip
        self.keys = {key.name: key for key in keys}
        self.forms = forms
        self.needed = needed
        self.foreign = foreign or {}
        self.open = open_
        self.allowed = f"keys {', '.join(key.name for key in keys if not key.ignored)}"

    def read(self, node: tree.Node, path: str, problems: Problems, secret: bool = False) -> object:
        """Fields, with those keys that are right."""
        if not isinstance(node, tree.Mapping):
            return self.refuse(node, path, problems, f"is {described(node, True)}")
        fields = Fields(node.place, path)
        for name, value in once(node, self.path_of, fields, problems):
            self.read_entry(fields, name, value, problems)
        for missing in self.needed:
            if not fields.given(missing):
                problems.error(node.place, path, f"has no '{missing}'; it is needed")
        self.compare_forms(fields, problems)
        return fields

    def read_entry(self, fields: Fields, name: tree.Scalar, value: tree.Node, problems: Problems) -> None:
        """One key with its value."""
        where = self.path_of(fields.path, name.text)
        key = self.keys.get(name.text)
        if key is None:
            if self.open:
                return
            problems.unknown(name.place, where, self.unknown(name.text, len(problems.found) < SHOWN))
        elif key.ignored:
            problems.warn(name.place, where, f"is ignored: {key.ignored}")
        elif not (isinstance(value, tree.Scalar) and value.meaning() == "null"):
            found = key.kind.read(value, where, problems, key.secret)
            target = key.alias or key.name
            if found is BAD:
                fields.spoil(target, name.place)
            else:
                fields.put(target, found, name.place)

    def path_of(self, path: str, name: str) -> str:
        """The path of a key; without its name where that may be a secret that stands in a wrong place."""
        secretive = any(key.secret for key in self.keys.values())
        known = name in self.foreign or len(name) < SECRET_LENGTH or nearest(name, self.keys)
        if secretive and not known:
            return f"{path}.?" if path else "?"
        return join(path, name)

    def unknown(self, name: str, suggest: bool) -> str:
        """What is said of a key that is not known; to `suggest` takes its time."""
        if name in self.foreign:
            return self.foreign[name]
        if name == "<<":
            return "merge keys are not supported; write the keys out"
        known = [key.name for key in self.keys.values() if not key.ignored]
        return f"unknown key; known are: {', '.join(known)}{nearest(name, known) if suggest else ''}"

    def compare_forms(self, fields: Fields, problems: Problems) -> None:
        """Complain about each key of a second form."""
        used = [
            (form, name) for form, names in self.forms for name in names if fields.given(name)
        ]  # fmt: skip
        for form, name in used:
            if form != used[0][0]:
                what = f"belongs to {form}, but {used[0][1]} to {used[0][0]}; use one form alone"
                problems.error(fields.place_of(name), join(fields.path, name), what)
                fields.spoil(name, fields.place_of(name))

    def schema(self) -> Schema:
        """An object without other keys."""
        made: Schema = {
            "type": "object",
            "additionalProperties": False,
            "properties": {key.name: key_schema(key) for key in self.keys.values()},
        }
        if self.needed:
            made["required"] = list(self.needed)
        names = {name for _, form in self.forms for name in form}
        if names:
            made["allOf"] = [apart(form, sorted(names - set(form))) for _, form in self.forms]
        return made


def apart(names: Sequence[str], others: Sequence[str]) -> Schema:
    """If one of these keys has a value, none of the others has."""
    given = [{"required": [name], "properties": {name: {"not": {"type": "null"}}}} for name in names]
    return {"if": {"anyOf": given}, "then": {"properties": {other: {"type": "null"} for other in others}}}


def key_schema(key: Key) -> Schema:
    """A key's kind, its help, and that it may be empty."""
    made = nullable(key.kind.schema())
    made["title"] = key.name
    made["description"] = key.text.replace("`", "")
    made["markdownDescription"] = key.text
    if key.default:
        made["default"] = json.loads(key.default)
    if key.example:
        made["examples"] = [json.loads(key.example)]
    if key.ignored:
        made["deprecated"] = True
    return made


def nullable(schema: Schema) -> Schema:
    """The same, or nothing: a key without a value counts as not given."""
    made = dict(schema)
    if isinstance(made.get("type"), str):
        made["type"] = [made["type"], "null"]
    if isinstance(words := made.get("enum"), list):
        made["enum"] = [*words, None]
    if isinstance(kinds := made.get("anyOf"), list):
        made["anyOf"] = [*kinds, {"type": "null"}]
    return made


class Table(Kind):
    """A mapping whose keys are names that the author chooses."""

    def __init__(self, record: Record, pattern: str, names: str, most: int = 32) -> None:
        self.record = record
        self.pattern = pattern
        self.names = names
        self.most = most
        self.allowed = f"at most {most} {names}, each with {record.allowed}"

    def read(self, node: tree.Node, path: str, problems: Problems, secret: bool = False) -> object:
        """Fields of Fields."""
        if not isinstance(node, tree.Mapping):
            return self.refuse(node, path, problems, f"is {described(node, True)}")
        fields = Fields(node.place, path)
        if len(node.entries) > self.most:
            return self.refuse(node, path, problems, f"has {len(node.entries)} entries")
        for name, value in once(node, join, fields, problems):
            where = join(path, name.text)
            if not re.fullmatch(self.pattern, name.text):
                problems.error(name.place, where, f"cannot be a name here; allowed: {self.names}")
            else:
                found = self.record.read(value, where, problems)
                if found is BAD:
                    fields.spoil(name.text, name.place)
                else:
                    fields.put(name.text, found, name.place)
        return fields

    def schema(self) -> Schema:
        """An object."""
        return {
            "type": "object",
            "maxProperties": self.most,
            "propertyNames": {"pattern": f"^(?:{self.pattern})$"},
            "additionalProperties": self.record.schema(),
        }
