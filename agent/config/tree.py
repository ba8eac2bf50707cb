"""From text to a tree of nodes that know their places.

PyYAML's parser gives the events; the tree is made here and not by PyYAML's composer, because that one
recurses, keeps duplicate keys to itself, unfolds anchors, and takes 200 bytes of marks for every value.
Values are understood as in YAML 1.2's core schema (section 10.3): `no`, `on` and `22:30` are texts.
"""

from __future__ import annotations

import re

import yaml

from agent.config.encoding import UnreadableError
from agent.config.problems import NOWHERE, Place, quoted

MAX_NODES = 5_000
MAX_DEPTH = 20
NULL = re.compile(r"~|null|Null|NULL|")
BOOLEAN = re.compile(r"true|True|TRUE|false|False|FALSE")
INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
FLOAT = re.compile(
    r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?(\.inf|\.Inf|\.INF)|\.nan|\.NaN|\.NAN"
)
# What the two parsers of PyYAML say, and the same in words that help.
HINTS = (
    ("mapping values are not allowed", "a colon that cannot stand here: check the indentation, or quote "
    "the text"),
    ("found unexpected end of stream", "a quote that was opened before is never closed"),
    ("unknown escape", "an unknown escape in double quotes: write \\\\ for a backslash, or use single "
    "quotes"),
    ("invalid Unicode character escape", "an escape that is no character"),
    ("could not find expected ':'", "a line without 'key: value': a colon is missing, or a quote"),
    ("incompatible YAML document", "a %YAML line of another version: remove it"),
)  # fmt: skip


class Scalar:
    """A text; `plain` without quotes, so that it may mean a number, a boolean or nothing."""

    __slots__ = ("place", "plain", "text")

    def __init__(self, place: Place, text: str, plain: bool) -> None:
        self.place = place
        self.text = text
        self.plain = plain

    def meaning(self) -> str:
        """One of null, boolean, integer, number, text."""
        if not self.plain:
            return "text"
        for name, pattern in (("null", NULL), ("boolean", BOOLEAN), ("integer", INTEGER), ("number", FLOAT)):
            if pattern.fullmatch(self.text):
                return name
        return "text"


class Sequence:
    """A list."""

    __slots__ = ("items", "place")

    def __init__(self, place: Place) -> None:
        self.place = place
        self.items: list[Node] = []


class Mapping:
    """Keys and values in the order of the file; a key may be there twice."""

    __slots__ = ("entries", "place")

    def __init__(self, place: Place) -> None:
        self.place = place
        self.entries: list[tuple[Scalar, Node]] = []


Node = Scalar | Sequence | Mapping


class Builder:
    """Makes nodes of events, with a stack of its own instead of recursion."""

    def __init__(self) -> None:
        self.root: Node | None = None
        self.open: list[Sequence | Mapping] = []
        self.keys: list[Scalar | None] = []
        self.nodes = 0

    def take(self, event: yaml.Event) -> None:
        """The next event; raises UnreadableError for what is never allowed."""
        if isinstance(event, yaml.ScalarEvent):
            refuse_marks(event)
            self.add(Scalar(place_of(event), event.value, event.implicit[0]))
        elif isinstance(event, yaml.SequenceStartEvent):
            refuse_marks(event)
            self.begin(Sequence(place_of(event)))
        elif isinstance(event, yaml.MappingStartEvent):
            refuse_marks(event)
            self.begin(Mapping(place_of(event)))
        elif isinstance(event, yaml.SequenceEndEvent | yaml.MappingEndEvent):
            self.open.pop()
            self.keys.pop()
        elif isinstance(event, yaml.AliasEvent):
            raise UnreadableError("an alias (*name); write the value out", place_of(event))
        elif isinstance(event, yaml.DocumentStartEvent) and self.root is not None:
            raise UnreadableError(
                "a second document begins here ('---'); one file is one document", place_of(event)
            )

    def begin(self, node: Sequence | Mapping) -> None:
        """A list or mapping, whose content follows."""
        if len(self.open) >= MAX_DEPTH:
            raise UnreadableError(f"more than {MAX_DEPTH} levels inside each other", node.place)
        self.add(node)
        self.open.append(node)
        self.keys.append(None)

    def add(self, node: Node) -> None:
        """Put a node where it belongs: as a key, a value, an item or the root."""
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise UnreadableError(f"more than {MAX_NODES} values", node.place)
        if not self.open:
            self.root = node
            return
        parent = self.open[-1]
        if isinstance(parent, Sequence):
            parent.items.append(node)
        elif (key := self.keys[-1]) is not None:
            parent.entries.append((key, node))
            self.keys[-1] = None
        elif isinstance(node, Scalar):
            self.keys[-1] = node
        else:
            raise UnreadableError("a list or mapping as a key; keys are words", node.place)


def parse(text: str, loader: object = None) -> Node | None:
    """The tree of a document, None for one that is empty; raises UnreadableError.

    `loader` is PyYAML's class whose parser is used: libyaml's where PyYAML has it, which is 30 times as fast.
    """
    if loader is None:
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    builder = Builder()
    try:
        for event in yaml.parse(text, Loader=loader):  # type: ignore[arg-type]
            builder.take(event)
    except yaml.MarkedYAMLError as error:
        raise explained(error, text) from None
    except yaml.YAMLError as error:
        raise UnreadableError(f"is not YAML: {quoted(str(error))}") from None
    root = builder.root
    return None if isinstance(root, Scalar) and root.meaning() == "null" else root


def refuse_marks(event: yaml.ScalarEvent | yaml.CollectionStartEvent) -> None:
    """No anchors, which are only for aliases, and no tags, which are only for programs."""
    if event.anchor is not None:
        raise UnreadableError("an anchor (&name); write the value out where it is needed", place_of(event))
    if event.tag is not None:
        raise UnreadableError("a tag (!type); write the plain value", place_of(event))


def place_of(event: yaml.Event) -> Place:
    """Where an event begins."""
    mark = event.start_mark
    assert mark is not None
    return mark.line + 1, mark.column + 1


def explained(error: yaml.MarkedYAMLError, text: str) -> UnreadableError:
    """A syntax error in words that both parsers would have."""
    mark = error.problem_mark or error.context_mark
    place = (mark.line + 1, mark.column + 1) if mark is not None else NOWHERE
    what = error.problem or "cannot be understood"
    lines = text.splitlines()
    line = lines[place[0] - 1] if 0 < place[0] <= len(lines) else ""
    if "\t" in line[: len(line) - len(line.lstrip())] or "tab character" in what:
        return UnreadableError("a tab in the indentation; only blanks are allowed there", place)
    if "cannot start any token" in what:
        letter = line[place[1] - 1 : place[1]]
        return UnreadableError(f"{quoted(letter)} cannot begin a value; put the text in quotes", place)
    for part, hint in HINTS:
        if part in what:
            return UnreadableError(hint, place)
    opened = error.context_mark
    context = f" (in what begins in line {opened.line + 1})" if opened and error.context else ""
    return UnreadableError(
        f"is not YAML: {what.replace('did not find expected', 'expected')}{context}", place
    )
