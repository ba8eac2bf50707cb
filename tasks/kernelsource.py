"""A kernel of our own configuration, compiled from Debian's source with everything built in."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from tasks.lib.arch import Arch
from tasks.lib.debian import bootstrap
from tasks.lib.debian.lockfile import Package
from tasks.lib.engine.capacity import processors
from tasks.lib.formats.tree import Tree
from tasks.lib.kernel.audit import read_requirements
from tasks.lib.kernel.modules import MODULES
from tasks.lib.paths import TOP

NAME = "source"
SET = "kernel-source"
CONFIG = TOP / "kernel" / "source.config"
COMPILE = TOP / "kernel" / "compile.sh"
# Documents are of no use where nobody reads; the source itself lies below usr/src.
WITHOUT = (
    "path-exclude=/usr/share/doc/*",
    "path-exclude=/usr/share/man/*",
    "path-exclude=/usr/share/locale/*",
)
BUILD = "/build"


def wanted(requirements: Path, conditions: Sequence[str]) -> str:
    """The options that the kernel must have, as a fragment for scripts/kconfig/merge_config.sh.

    What audit.toml asks for, built in, and then source.config. BuildError when one of them can not be read.
    """
    asked = {item.option for item in read_requirements(requirements, conditions)}
    return "".join(f"CONFIG_{option}=y\n" for option in sorted(asked)) + CONFIG.read_text(encoding="utf-8")


def compiled(
    fetched: Sequence[tuple[Package, Path]], suite: str, arch: Arch, config: str, epoch: int, scratch: Path
) -> tuple[bytes, bytes, Tree]:
    """The bootable image, its complete configuration, and usr/lib/modules/<release>/ with what is built in.

    fetched: packages of SET. config: the fragment of `wanted`. epoch: the kernel's date, in seconds since
    1970. scratch: a folder with some 5 GB of room. Raises BuildError when options do not fit this version, or
    with the compiler's last words.
    """
    fragment, made = scratch / "wanted.config", scratch / "made"
    fragment.write_text(config, encoding="utf-8")
    made.mkdir()
    settings = {
        "KBUILD_BUILD_TIMESTAMP": f"@{epoch}",
        "KBUILD_BUILD_USER": "build",
        "KBUILD_BUILD_HOST": "build",
        "KBUILD_BUILD_VERSION": "1",
        "JOBS": str(processors()),
        "LC_ALL": "C",
    }
    words = " ".join(f"{name}={value}" for name, value in settings.items())
    hooks = [
        f'mkdir "$1"{BUILD}',
        f"copy-in {shlex.quote(str(fragment))} {shlex.quote(str(COMPILE))} {BUILD}",
        f'chroot "$1" env {words} sh {BUILD}/{COMPILE.name}',
        f"copy-out {BUILD}/out {shlex.quote(str(made))}",
    ]
    bootstrap.install(fetched, suite, arch, WITHOUT, bootstrap.NOWHERE, epoch, scratch, hooks)
    out = made / "out"
    tree = Tree()
    tree.add_folder(out / MODULES, MODULES)
    return (out / "vmlinuz").read_bytes(), (out / "config").read_bytes(), tree
