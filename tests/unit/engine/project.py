"""A small checkout of its own: the real engine and commands, with a dodo.py that the test writes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap
from functools import partial
from pathlib import Path

from tasks.lib.paths import TOP

PARTS = (
    *(f"tasks/{name}.py" for name in ("__init__", "__main__", "imports")),
    *(f"tasks/lib/{name}.py" for name in ("__init__", "errors", "landlock", "paths", "process", "text")),
    "requirements.lock",
)
ELSEWHERE = (
    *("airgap_bundle", "bench", "conformance", "dev_vm", "docs", "doctor", "extract_kernel_config"),
    *(
        "inject_ssh",
        "keygen",
        "kubeconfig",
        "live_seed",
        "live_vm",
        "lock",
        "sign",
        "test",
        "test_all",
        "usb",
    ),
    "validate",
)
HEAD = """\
import os, sys, time
from functools import partial
from pathlib import Path
from tasks.lib.engine import Build, artifact
from tasks.lib.errors import BuildError
from tasks.lib.paths import BUILD, TOP
from tasks.lib.process import run

"""


class Project:
    """A checkout in `top` on which ./doit's Python part runs."""

    def __init__(self, top: Path) -> None:
        self.top = top
        for part in PARTS:
            (top / part).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(TOP / part, top / part)
        ignored = shutil.ignore_patterns("__pycache__")
        for name in ("code", "engine"):
            shutil.copytree(TOP / "tasks/lib" / name, top / "tasks/lib" / name, ignore=ignored)
        (top / "tasks/commands").mkdir()
        for source in (TOP / "tasks/commands").glob("*.py"):
            if source.stem not in ELSEWHERE:
                shutil.copy(source, top / "tasks/commands")

    def write(self, path: str, text: str | bytes, mode: int = 0o644) -> Path:
        """Write a file of the checkout."""
        file = self.top / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        file.chmod(mode)
        return file

    def dodo(self, text: str) -> None:
        """Write dodo.py; the usual imports come first."""
        self.write("dodo.py", HEAD + textwrap.dedent(text))

    def command(self, *arguments: str) -> list[str]:
        """The argument list that runs the builder."""
        return [sys.executable, str(self.top / "tasks/__main__.py"), *arguments]

    def environment(self) -> dict[str, str]:
        """Neither Python's nor the tester's settings leak in."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        return {**kept, "XDG_CACHE_HOME": str(self.top.parent / "cache")}

    def run(
        self, *arguments: str, status: int | None = 0, env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run the builder to its end and check its exit status."""
        done = subprocess.run(
            self.command(*arguments), cwd="/", env=env or self.environment(), capture_output=True, text=True,
            stdin=subprocess.DEVNULL, timeout=240, check=False,
        )  # fmt: skip
        if status is not None:
            assert done.returncode == status, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def spawn(self, *arguments: str, hangup: signal.Handlers = signal.SIG_DFL) -> subprocess.Popen[str]:
        """Start the builder in a session of its own. hangup: what SIGHUP does to it."""
        return subprocess.Popen(
            self.command(*arguments), cwd="/", env=self.environment(), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
            preexec_fn=partial(signal.signal, signal.SIGHUP, hangup),
        )  # fmt: skip

    def read(self, path: str) -> str:
        """A file's text."""
        return (self.top / path).read_text()

    def ran(self, task: str) -> int:
        """How often a recipe ran that appends a line to count/<task>."""
        file = self.top / "count" / task
        return len(file.read_text().splitlines()) if file.exists() else 0

    def leftovers(self) -> list[str]:
        """Temporary files that lie about."""
        found = [*self.top.rglob(".part-*"), *(self.top / "build/scratch").glob("*")]
        return [str(path.relative_to(self.top)) for path in found]
