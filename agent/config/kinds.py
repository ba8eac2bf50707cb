"""Kinds of values: how each is read, described in words, and described as JSON Schema (draft 2020-12)."""

from __future__ import annotations

import re
from collections.abc import Callable

from agent.config import tree
from agent.config.problems import Problems, nearest, quoted, shown

Schema = dict[str, object]
Warn = Callable[[str], None]
# Takes a text that fits the pattern and returns it in its usual form; raises ValueError in words.
Check = Callable[[str, Warn], str]

MAX_TEXT = 8192
# YAML 1.1 took these for booleans.
OLD_BOOLEANS = {
    "yes": "true", "on": "true", "y": "true", "no": "false", "off": "false", "n": "false",
}  # fmt: skip


class _Bad:
    """The type of BAD."""


# Read, and wrong: what was wrong has been said.
BAD = _Bad()


class Kind:
    """A kind of value; `allowed` says in words what it may be."""

    allowed = ""

    def read(self, node: tree.Node, path: str, problems: Problems, secret: bool = False) -> object:
        """The value of a node, BAD when it is none."""
        raise NotImplementedError

    def schema(self) -> Schema:
        """The same for editors."""
        raise NotImplementedError

    def refuse(self, node: tree.Node, path: str, problems: Problems, what: str) -> object:
        """Say what is wrong, and what would be right."""
        problems.error(node.place, path, f"{what}; allowed: {self.allowed}")
        return BAD


def described(node: tree.Node, secret: bool = False) -> str:
    """A value in words."""
    if isinstance(node, tree.Sequence):
        return "a list"
    if isinstance(node, tree.Mapping):
        return "a mapping (key: value)"
    names = {"null": "empty", "boolean": "the boolean", "integer": "the number", "number": "the number"}
    name = names.get(node.meaning(), "the text")
    if name == "empty" or secret:
        return name.replace("the ", "a ")
    return f"{name} {quoted(node.text) if name == 'the text' else shown(node.text)}"


class Boolean(Kind):
    """true or false."""

    allowed = "true or false"

    def read(self, node: tree.Node, path: str, problems: Problems, secret: bool = False) -> object:
        """A bool."""
        if not isinstance(node, tree.Scalar):
            return self.refuse(node, path, problems, f"is {described(node)}")
        if node.meaning() == "boolean":
            return node.text.lower() == "true"
        text = node.text.lower()
        if text in OLD_BOOLEANS:
            what = f"{quoted(node.text)} is a text in YAML 1.2: write {OLD_BOOLEANS[text]}"
            return self.refuse(node, path, problems, what)
        if text in ("true", "false"):
            return self.refuse(
                node, path, problems, f"is the text {quoted(node.text)}: leave the quotes away"
            )
        return self.refuse(node, path, problems, f"is {described(node, secret)}")

    def schema(self) -> Schema:
        """A boolean."""
        return {"type": "boolean"}


class Whole(Kind):
    """A whole number in a range."""

    def __init__(self, least: int, most: int, allowed: str = "") -> None:
        self.least = least
        self.most = most
        self.allowed = allowed or f"a whole number from {least} to {most}"

    def read(self, node: tree.Node, path: str, problems: Problems, secret: bool = False) -> object:
        """An int."""
        if not isinstance(node, tree.Scalar) or node.meaning() != "integer":
            what = f"is {described(node)}"
            if isinstance(node, tree.Scalar) and not node.plain and tree.INTEGER.fullmatch(node.text):
                what += ": leave the quotes away"
            return self.refuse(node, path, problems, what)
        digits = node.text.lstrip("+-")
        if not digits.isdecimal() or (len(digits) > 1 and digits.startswith("0")):
            what = f"{shown(node.text)} is not the same number for every program: write it in decimal"
            return self.refuse(node, path, problems, what)
        # int() itself refuses thousands of digits.
        value = int(node.text) if len(digits) < 16 else self.most + 1
        if not self.least <= value <= self.most:
            return self.refuse(node, path, problems, f"is {described(node)}")
        return value

    def schema(self) -> Schema:
        """An integer."""
        return {"type": "integer", "minimum": self.least, "maximum": self.most}


class Text(Kind):
    """A text of a pattern (the whole of it, in the syntax that ECMA-262 and Python share)."""

    def __init__(
        self, allowed: str, pattern: str = "", check: Check | None = None,
        longest: int = MAX_TEXT, shortest: int = 1, empty: bool = False,
    ) -> None:  # fmt: skip
        self.allowed = allowed
        self.pattern = pattern
        self.check = check
        self.longest = longest
        self.shortest = shortest
        self.empty = empty

    def read(self, node: tree.Node, path: str, problems: Problems, secret: bool = False) -> object:
        """A str without control characters."""
        if not isinstance(node, tree.Scalar):
            return self.refuse(node, path, problems, f"is {described(node)}")
        if (meaning := node.meaning()) != "text":
            hint = "" if meaning == "null" else ": put it in quotes to make it a text"
            return self.refuse(node, path, problems, f"is {described(node, secret)}{hint}")
        text = node.text
        if self.empty and not text:
            return ""
        if (letter := unwritable(text)) is not None:
            return self.refuse(node, path, problems, f"has a line end or control character ({letter})")
        if not self.shortest <= len(text) <= self.longest:
            range_ = f"{self.shortest} to {self.longest}" if self.shortest < self.longest else self.longest
            return self.refuse(node, path, problems, f"has {len(text)} characters instead of {range_}")
        if self.pattern and not re.fullmatch(self.pattern, text):
            return self.refuse(node, path, problems, "is something else" if secret else f"is {quoted(text)}")
        if self.check is None:
            return text
        try:
            return self.check(text, lambda words: problems.warn(node.place, path, words))
        except ValueError as error:
            return self.refuse(node, path, problems, str(error) if secret else f"{quoted(text)} {error}")

    def schema(self) -> Schema:
        """A string."""
        made: Schema = {"type": "string", "maxLength": self.longest}
        if not self.empty:
            made["minLength"] = self.shortest
        if self.pattern:
            made["pattern"] = f"^(?:{self.pattern})$" if not self.empty else f"^(?:{self.pattern})?$"
        return made


def unwritable(text: str) -> str | None:
    """What of a text would break a line of a file into two, or a terminal; None when nothing."""
    for letter in text:
        if not letter.isprintable():
            return f"U+{ord(letter):04X}"
    return None


class Choice(Kind):
    """One of some words."""

    def __init__(self, *words: str) -> None:
        self.words = words
        self.allowed = " or ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else words[0]

    def read(self, node: tree.Node, path: str, problems: Problems, secret: bool = False) -> object:
        """A str."""
        if isinstance(node, tree.Scalar) and node.meaning() == "text":
            if node.text in self.words:
                return node.text
            what = f"is {quoted(node.text)}; allowed: {self.allowed}{nearest(node.text, self.words)}"
            problems.error(node.place, path, what)
            return BAD
        return self.refuse(node, path, problems, f"is {described(node)}")

    def schema(self) -> Schema:
        """A string."""
        return {"type": "string", "enum": list(self.words)}


class ListOf(Kind):
    """A list; with `single`, one value may stand without being in a list."""

    def __init__(self, item: Kind, most: int = 64, single: bool = False) -> None:
        self.item = item
        self.most = most
        self.single = single
        self.allowed = f"a list of at most {most}: {item.allowed}"
        if single:
            self.allowed = f"{item.allowed}; or a list of at most {most}"

    def read(self, node: tree.Node, path: str, problems: Problems, secret: bool = False) -> object:
        """A list of values."""
        if not isinstance(node, tree.Sequence):
            if self.single and not isinstance(node, tree.Mapping):
                value = self.item.read(node, path, problems, secret)
                return BAD if value is BAD else [value]
            return self.refuse(node, path, problems, f"is {described(node, secret)}, no list")
        if len(node.items) > self.most:
            return self.refuse(node, path, problems, f"has {len(node.items)} items")
        values = [
            self.item.read(item, f"{path}[{number}]", problems, secret)
            for number, item in enumerate(node.items)
        ]
        return BAD if any(value is BAD for value in values) else values

    def schema(self) -> Schema:
        """An array, or also one item."""
        item = self.item.schema()
        array: Schema = {"type": "array", "items": item, "maxItems": self.most}
        return {"anyOf": [item, array]} if self.single else array


class Anything(Kind):
    """What is not looked at."""

    allowed = "anything"

    def read(self, node: tree.Node, path: str, problems: Problems, secret: bool = False) -> object:
        """Nothing."""
        return None

    def schema(self) -> Schema:
        """No restriction."""
        return {}
