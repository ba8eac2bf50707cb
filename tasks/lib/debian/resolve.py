"""versions.toml → versions.lock: asks the signed suite what the package sets are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from email.utils import parsedate_to_datetime

from tasks.lib.arch import HOST, Arch, arch
from tasks.lib.config import Config, PackageSet
from tasks.lib.debian.aptroot import AptRoot
from tasks.lib.debian.lockfile import Index, Lock, Package, keyed
from tasks.lib.debian.mirror import Mirrors, find_mirrors
from tasks.lib.errors import BuildError
from tasks.lib.net import cache
from tasks.lib.paths import cache_dir

Sets = dict[str, list[Package]]


def resolve(config: Config, mirrors: Mirrors | None = None) -> Lock:
    """What versions.toml stands for, by the suite's signed index as it is now.

    Raises BuildError when no mirror answers, a signature is wrong, or a package does not exist.
    """
    found = mirrors or find_mirrors()
    suite = config.debian.suite
    sets, indexes = resolve_for(HOST, suite, config.packages, found)
    for name in config.debian.foreign:
        wanted = {key: chosen for key, chosen in config.packages.items() if chosen.runs == "target"}
        foreign, others = resolve_for(arch(name), suite, wanted, found)
        if others != indexes:
            raise BuildError("the mirror was updated while it was asked", "run ./doit lock again")
        sets |= foreign
    packages = {package.key: package for members in sets.values() for package in members}
    return Lock(
        suite=suite,
        architecture=HOST.name,
        indexes=indexes,
        packages={key: packages[key] for key in sorted(packages)},
        sets={name: tuple(sorted(package.key for package in sets[name])) for name in sorted(sets)},
    )


def resolve_for(
    row: Arch, suite: str, wanted: Mapping[str, PackageSet], mirrors: Mirrors
) -> tuple[Sets, tuple[Index, ...]]:
    """The package sets for one architecture, by key, and the indexes that say so."""
    root = AptRoot(cache_dir() / "apt" / f"{suite}-{row.name}", suite, row.name)
    with cache.held(f"apt-{suite}-{row.name}"):
        indexes = root.update(mirrors)
        sets = {}
        for name, one in wanted.items():
            names = one.on(row.name)
            sets[keyed(name, row.name)] = chosen(one.depends, names, root.closure(names))
    return sets, indexes


def chosen(depends: str, names: Sequence[str], closure: list[Package]) -> list[Package]:
    """Of a closure, what the set's `depends` asks for."""
    if depends == "all":
        return closure
    named = [package for package in closure if package.name in names]
    if depends == "none":
        return named
    sources = {package.source for package in named}
    return [package for package in closure if package.source in sources]


def lagging(old: Lock | None, new: Lock) -> list[str]:
    """Warnings about indexes that are older than those of the lock: a mirror that lags, or worse."""
    before = {index.suite: index.date for index in old.indexes} if old else {}
    return [
        f"WARNING: {index.suite}: this mirror's index is older than the locked one of {before[index.suite]}"
        for index in new.indexes
        if index.suite in before
        and parsedate_to_datetime(index.date) < parsedate_to_datetime(before[index.suite])
    ]
