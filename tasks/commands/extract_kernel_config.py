"""Prints the configuration that a kernel was built with."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from tasks import tinycore
from tasks.lib.engine.command import Command
from tasks.lib.engine.main import build
from tasks.lib.errors import BuildError
from tasks.lib.kernel import image
from tasks.lib.kernel.modules import decompress

DESCRIPTION = """\
Without a file, that of the product's own kernel. FILE: a kernel image (x86 bzImage) that carries its
configuration (CONFIG_IKCONFIG), the module configs.ko, or a CorePure64 ISO. What is printed can be named as
downloads.tinycore-config in versions.toml (docs/providers.md).
"""
ISO_MARK, ISO_PLACE = b"CD001", 0x8001  # ECMA-119, 8.1: the first volume descriptor is sector 16


class Plugin(Command):
    """Print a kernel's configuration."""

    doc_purpose = "print the configuration of the product's kernel, or of another one"
    doc_usage = "[FILE]"
    doc_description = DESCRIPTION
    cmd_options = ()

    def execute(self, opt_values: Any, pos_args: list[str]) -> int:
        """Print it; BuildError when there is none in the file."""
        if len(pos_args) > 1:
            raise BuildError("extract-kernel-config takes one file", "see ./doit help extract-kernel-config")
        sys.stdout.write((of_file(Path(pos_args[0])) if pos_args else of_product()).decode())
        return 0


def of_product() -> bytes:
    """The configuration of the product's kernel."""
    from dodo import TARGET
    from tasks import kernel

    build(TARGET.task("kernel"))
    return kernel.configuration(TARGET).read_bytes()


def of_file(path: Path) -> bytes:
    """The configuration in a file."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BuildError(f"{path}: can not be read: {error.strerror}", "name a kernel image") from error
    with tempfile.TemporaryDirectory(prefix="kubesolo-config-") as name:
        if data[ISO_PLACE : ISO_PLACE + len(ISO_MARK)] == ISO_MARK:
            return tinycore.kernel(path, None, (), Path(name))[1]
        found = image.configuration(str(path), decompress(path.name, data), Path(name))
    if found is None:
        raise BuildError(
            f"{path}: carries no configuration", "wants a kernel with CONFIG_IKCONFIG, configs.ko, or an ISO"
        )
    return found
