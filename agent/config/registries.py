"""Section registries: what the keys of one registry mean together."""

from __future__ import annotations

from agent.config.fields import Fields
from agent.config.problems import Problems
from agent.config.registrykeys import ALL


def read(table: Fields, problems: Problems) -> dict[str, dict[str, object]]:
    """The registries by name, each with the keys that it has."""
    found: dict[str, dict[str, object]] = {}
    for name, entry in table.entries():
        found[name] = dict(entry.values)
        if name == ALL and set(entry.values) - {"mirrors", "only-mirrors"}:
            where = entry.where("username", "password", "ca")
            problems.error(*where, "is of one registry, and '*' is none; give the mirror an entry of its own")
        if bool(entry.text("username")) != bool(entry.text("password")) and not entry.bad:
            problems.error(*entry.where("username", "password"), "needs both username and password")
        if entry.flag("only-mirrors") and not entry.texts("mirrors") and "mirrors" not in entry.bad:
            problems.error(*entry.where("only-mirrors"), "needs mirrors")
    return found
