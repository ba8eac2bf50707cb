"""Where QEMU and its firmware come from: the tools tree on Linux, an installed QEMU elsewhere."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from tasks.lib.debian import tools
from tasks.lib.errors import BuildError

SET = "qemu"
PROGRAM = "qemu-system-x86_64"
# Code and variable store of UEFI: Debian's package ovmf, or what QEMU itself installs (edk2).
FIRMWARE = (
    ("OVMF/OVMF_CODE_4M.fd", "OVMF/OVMF_VARS_4M.fd"),
    ("qemu/edk2-x86_64-code.fd", "qemu/edk2-i386-vars.fd"),
)


def command() -> list[str]:
    """The words that start QEMU, with the options that name its firmware folders.

    Raises BuildError when there is none.
    """
    if sys.platform == "linux":
        return [*tools.command(PROGRAM, set=SET), *tools.qemu_data(SET)]
    return [str(installed())]


def installed() -> Path:
    """The host's own QEMU, on systems that can not run the tools tree's programs."""
    found = shutil.which(PROGRAM)
    if found is None:
        raise BuildError(
            f"{PROGRAM}: not found", "install QEMU 10 or later, for example with brew install qemu"
        )
    return Path(found)


def uefi_firmware() -> tuple[Path, Path]:
    """UEFI's code and the template of its variable store; the latter is to be copied for every machine.

    Raises BuildError when QEMU came without them.
    """
    share = (
        tools.tree(SET) / "usr" if sys.platform == "linux" else installed().resolve().parents[1]
    ) / "share"
    for code, variables in FIRMWARE:
        if (share / code).is_file() and (share / variables).is_file():
            return share / code, share / variables
    raise BuildError(f"{share}: no UEFI firmware for QEMU", "add the package ovmf to [packages.qemu]")
