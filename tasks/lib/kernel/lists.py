"""The lists in kernel/*.modules: which modules go into an image, by name or by folder."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tasks.lib.errors import BuildError
from tasks.lib.kernel.modules import Kernel, module_name

SECTION = re.compile(r"\[([a-z0-9 -]+)(?::([a-z0-9 ,-]+))?\]")
LINE = re.compile(r"(?P<minus>-\s*)?(?P<pattern>[A-Za-z0-9_./*?-]+)(?:\s+:\s*(?P<only>[a-z0-9 ,-]+))?")
HELP = (
    "write [section], [section: flavour or architecture], include FILE, a module, a folder/, a glob, "
    "or '- ' and one of these; ` : architecture` behind a line"
)


@dataclass(frozen=True)
class Rule:
    """One line of a list.

    pattern: a module's name; or, with a slash, its path below the kernel's source folder without suffix,
    where * and ? stop at slashes and a slash at the end means everything below.
    """

    section: str
    pattern: str
    exclude: bool
    where: str

    @property
    def is_name(self) -> bool:
        """Whether it means one module, by its name."""
        return not re.search(r"[/*?]", self.pattern)

    def matching(self, paths: Mapping[str, str]) -> list[str]:
        """The names among name → path (such as kernel/fs/ext4/ext4.ko) that are meant."""
        if self.is_name:
            name = module_name(self.pattern)
            return [name] if name in paths else []
        if "/" not in self.pattern:
            names = wildcard(self.pattern.replace("-", "_"))
            return [name for name in paths if names.fullmatch(name)]
        below = wildcard(self.pattern + "**" if self.pattern.endswith("/") else self.pattern)
        return [
            name
            for name, path in paths.items()
            if below.fullmatch(path.removeprefix("kernel/").removesuffix(".ko"))
        ]


def wildcard(pattern: str) -> re.Pattern[str]:
    """A regular expression for a pattern whose * and ? do not match a slash, but whose ** does."""
    signs = {"**": ".*", "*": "[^/]*", "?": "[^/]"}
    return re.compile("".join(signs.get(part, re.escape(part)) for part in re.split(r"(\*\*|[*?])", pattern)))


def read_list(path: Path, conditions: Collection[str]) -> list[Rule]:
    """The rules of a list and of the lists that it includes, with the sections for one of the conditions: a
    flavour of the kernel, an architecture.

    Raises BuildError naming file and line.
    """
    rules: list[Rule] = []
    section, applies = path.stem, True
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise BuildError(f"{path}: can not be read: {error.strerror}", "restore it from git") from error
    for number, text in enumerate(lines, 1):
        where = f"{path.parent.name}/{path.name}:{number}"
        line = text.partition("#")[0].strip()
        if header := SECTION.fullmatch(line):
            section = header[1].strip()
            applies = header[2] is None or fits(header[2], conditions)
        elif not line or not applies:
            continue
        elif line.startswith("include "):
            rules += read_list(path.parent / line.removeprefix("include ").strip(), conditions)
        elif rule := LINE.fullmatch(line):
            if rule["only"] is None or fits(rule["only"], conditions):
                rules.append(Rule(section, rule["pattern"], rule["minus"] is not None, where))
        else:
            raise BuildError(f"{where}: {line!r} is not understood", HELP)
    return rules


def fits(words: str, conditions: Collection[str]) -> bool:
    """Whether one of the words, separated by commas or blanks, is among the conditions."""
    return not set(conditions).isdisjoint(re.split(r"[\s,]+", words.strip()))


def select(
    rules: Sequence[Rule], kernel: Kernel, missing: Callable[[str], None] | None = None
) -> dict[str, list[str]]:
    """The loadable modules that the rules ask for, by section in order of the list, without built-in ones.

    A module belongs to the first section that names it. An excluded one stays out unless a rule names it
    without a wildcard. missing: told which rules match nothing; without it, they raise BuildError naming file
    and line of each.
    """
    paths = {name: kernel.relative(name) for name in kernel.paths}
    matches = {rule: rule.matching(paths) for rule in rules}
    if missing is None:
        check(matches, kernel, paths)
    elif absent := [
        rule.pattern for rule, names in matches.items() if not names and not built_in(rule, kernel)
    ]:
        missing(f"kernel {kernel.release} has no module, and lists none as built in: {', '.join(absent)}")
    excluded = {name for rule, names in matches.items() if rule.exclude for name in names}
    sections: dict[str, list[str]] = {}
    seen: set[str] = set()
    for rule, names in matches.items():
        if rule.exclude:
            continue
        found = set(names) if rule.is_name else set(names) - excluded
        sections.setdefault(rule.section, []).extend(sorted(found - seen))
        seen |= found
    return sections


def check(matches: Mapping[Rule, list[str]], kernel: Kernel, paths: Mapping[str, str]) -> None:
    """Refuse rules that mean neither a loadable nor a built-in module."""
    bad = [rule for rule, names in matches.items() if not names and not built_in(rule, kernel)]
    if bad:
        lines = "\n".join(
            f"  {rule.where}: {rule.pattern}: {unknown(rule)}{near(rule, paths)}" for rule in bad
        )
        raise BuildError(f"kernel {kernel.release} does not have what the module lists ask for:\n{lines}",
                         "correct these lines or take them out")  # fmt: skip


def built_in(rule: Rule, kernel: Kernel) -> bool:
    """Whether the rule means something in the kernel's image."""
    return bool(rule.matching(kernel.builtin))


def unknown(rule: Rule) -> str:
    """What kind of thing is missing, for the error message."""
    return "neither a module nor built in" if rule.is_name else "matches nothing"


def near(rule: Rule, paths: Mapping[str, str]) -> str:
    """Modules with names like the wanted one, for the error message."""
    import difflib

    found = difflib.get_close_matches(module_name(rule.pattern), paths, n=3) if rule.is_name else []
    return f"; did you mean {' or '.join(found)}?" if found else ""
