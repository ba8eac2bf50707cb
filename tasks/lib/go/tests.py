"""The tests of a Go package as a program of their own."""

from __future__ import annotations

from pathlib import Path

from tasks.lib.arch import AMD64
from tasks.lib.go.program import Counter, Program, Progress, Variables, flags, follow, quiet


def compile_tests(
    module: Path, program: Program, out: Path, arch: Variables = AMD64.go, progress: Progress = quiet
) -> None:
    """Compile the tests of one package that the module in folder `module` requires to the file `out`.

    Raises BuildError with what go printed: a compile error, or modules that can not be fetched.
    """
    go, decided, env = flags(module, program, out.parent, arch)
    argv = [str(go), "test", "-c", *decided, "-o", str(out), program.package]
    follow(argv, module, env, Counter(module, progress))
