"""Kernel modules without what only debuggers read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from tasks.lib.kernel.modules import Module
from tasks.lib.process import run

# BPF type information (kernel: Documentation/bpf/btf.rst): a tenth of a module, of use only to BPF programs
# that look into that module. The kernel loads modules without it.
TYPE_INFORMATION = ".BTF"


def strip_modules(modules: Iterable[Module], strip: Sequence[str], scratch: Path) -> dict[str, Path]:
    """Write the modules to files in `scratch`, without debugging sections and type information.

    strip: the words that start binutils' strip. Returns the files by module name.
    Raises BuildError when strip refuses a file.
    """
    scratch.mkdir(parents=True)
    files = {module.name: scratch / f"{module.name}.ko" for module in modules}
    for module in modules:
        files[module.name].write_bytes(module.data)
    if files:
        run([*strip, "--strip-debug", f"--remove-section={TYPE_INFORMATION}", *files.values()])
    return files
