"""What was read of a mapping: values by key, and where each stands."""

from __future__ import annotations

from collections.abc import Iterator

from agent.config.problems import Place


class Fields:
    """The right values of a mapping; `bad` are keys that are there and wrong."""

    __slots__ = ("bad", "path", "place", "places", "values")

    def __init__(self, place: Place, path: str) -> None:
        self.place = place
        self.path = path
        self.values: dict[str, object] = {}
        self.places: dict[str, Place] = {}
        self.bad: set[str] = set()

    def put(self, name: str, value: object, place: Place) -> None:
        """Note a value; lists that come under two names add up."""
        before = self.values.get(name)
        if isinstance(before, list) and isinstance(value, list):
            value = [*before, *(item for item in value if item not in before)]
        self.values[name] = value
        self.places.setdefault(name, place)

    def spoil(self, name: str, place: Place) -> None:
        """Note that a key is there and wrong."""
        self.bad.add(name)
        self.places.setdefault(name, place)

    def given(self, name: str) -> bool:
        """Whether the key has a value, be it right or wrong."""
        return name in self.values or name in self.bad

    def place_of(self, name: str) -> Place:
        """Where a key stands, else where the mapping begins."""
        return self.places.get(name, self.place)

    def where(self, *names: str) -> tuple[Place, str]:
        """Place and path of the first of these keys that is given, else of the mapping."""
        for name in names:
            if self.given(name):
                return self.places.get(name, self.place), f"{self.path}.{name}" if self.path else name
        return self.place, self.path

    def text(self, name: str) -> str:
        """A text, "" without one."""
        value = self.values.get(name, "")
        assert isinstance(value, str), name
        return value

    def flag(self, name: str) -> bool | None:
        """A boolean."""
        value = self.values.get(name)
        assert value is None or isinstance(value, bool), name
        return value

    def number(self, name: str) -> int | None:
        """A whole number."""
        value = self.values.get(name)
        assert value is None or isinstance(value, int), name
        return value

    def texts(self, name: str) -> list[str]:
        """A list of texts, without those that are there already."""
        value = self.values.get(name, [])
        assert isinstance(value, list), name
        return list(dict.fromkeys(str(item) for item in value))

    def fields(self, name: str) -> Fields:
        """A mapping; an empty one where there is none."""
        value = self.values.get(name)
        if value is None:
            return Fields(self.place_of(name), name)
        assert isinstance(value, Fields), name
        return value

    def rows(self, name: str) -> list[Fields]:
        """A list of mappings."""
        value = self.values.get(name, [])
        assert isinstance(value, list), name
        return [item for item in value if isinstance(item, Fields)]

    def entries(self) -> Iterator[tuple[str, Fields]]:
        """The mappings of a table, by name."""
        for name, value in self.values.items():
            assert isinstance(value, Fields), name
            yield name, value
