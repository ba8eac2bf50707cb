"""versions.toml → versions.lock: asks the signed suite what the package sets are."""

from __future__ import annotations

from tasks.lib.config import Config, PackageSet
from tasks.lib.debian.aptroot import AptRoot
from tasks.lib.debian.lockfile import Lock, Package
from tasks.lib.debian.mirror import Mirrors, find_mirrors
from tasks.lib.net import cache
from tasks.lib.paths import cache_dir

ARCHITECTURE = "amd64"


def resolve(config: Config, mirrors: Mirrors | None = None) -> Lock:
    """What versions.toml stands for, by the suite's signed index as it is now.

    Raises BuildError when no mirror answers, a signature is wrong, or a package does not exist.
    """
    suite = config.debian.suite
    root = AptRoot(cache_dir() / "apt" / f"{suite}-{ARCHITECTURE}", suite, ARCHITECTURE)
    with cache.held(f"apt-{suite}-{ARCHITECTURE}"):
        indexes = root.update(mirrors or find_mirrors())
        sets = {name: chosen(wanted, root.closure(wanted.names)) for name, wanted in config.packages.items()}
    packages = {package.name: package for members in sets.values() for package in members}
    return Lock(
        suite=suite,
        architecture=ARCHITECTURE,
        indexes=indexes,
        packages={name: packages[name] for name in sorted(packages)},
        sets={name: tuple(sorted(package.name for package in sets[name])) for name in sorted(sets)},
    )


def chosen(wanted: PackageSet, closure: list[Package]) -> list[Package]:
    """Of a closure, what the set's `depends` asks for."""
    if wanted.depends == "all":
        return closure
    named = [package for package in closure if package.name in wanted.names]
    if wanted.depends == "none":
        return named
    sources = {package.source for package in named}
    return [package for package in closure if package.source in sources]
