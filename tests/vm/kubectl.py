"""kubectl as a user runs it: the product's own, on the host, against a machine's API."""

from __future__ import annotations

import os
import select
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from dodo import TARGET
from tasks import payload
from tasks.lib.errors import BuildError
from tasks.lib.process import die_with_parent, environment
from tasks.lib.vm import kube
from tasks.lib.vm.machine import Machine
from tasks.lib.vm.patience import stretched
from tests.vm.conftest import product
from tests.vm.node import API

RUN_SECONDS = 120
END_SECONDS = 10


class Kubectl:
    """Runs kubectl with a kubeconfig of its own, and nothing of the user's."""

    def __init__(self, program: Path, kubeconfig: Path) -> None:
        self._program = program
        self.environment = {"KUBECONFIG": str(kubeconfig), "HOME": str(kubeconfig.parent)}

    def command(self, *words: str | Path) -> list[str]:
        return [str(self._program), *map(str, words)]

    def run(
        self, *words: str | Path, text: str = "", timeout: float = RUN_SECONDS
    ) -> subprocess.CompletedProcess[str]:
        """Run it to its end, whatever that is, within `timeout` seconds (stretched). text: its input."""
        try:
            return subprocess.run(
                self.command(*words), input=text, timeout=stretched(timeout), text=True, errors="replace",
                capture_output=True, env=environment(self.environment), preexec_fn=die_with_parent,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            line = " ".join(map(str, words))
            said = f"{error.stdout!r} {error.stderr!r}"
            raise BuildError(f"kubectl {line}: not within {error.timeout:.0f} s: {said}") from error

    def __call__(self, *words: str | Path, text: str = "", timeout: float = RUN_SECONDS) -> str:
        """Run it; what it prints. Raises BuildError when it fails."""
        ended = self.run(*words, text=text, timeout=timeout)
        if ended.returncode != 0:
            raise BuildError(f"kubectl {' '.join(map(str, words))}: {ended.stderr.strip()}\n{ended.stdout}")
        return ended.stdout

    def refused(self, *words: str | Path, text: str = "") -> str:
        """Run what must fail; what it complains about."""
        ended = self.run(*words, text=text)
        assert ended.returncode != 0, ended.stdout
        return ended.stderr

    @contextmanager
    def running(self, *words: str | Path) -> Iterator[subprocess.Popen[str]]:
        """kubectl beside the test, with pipes; it is ended with the block."""
        child = subprocess.Popen(
            self.command(*words), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, bufsize=1, env=environment(self.environment), preexec_fn=die_with_parent,
        )  # fmt: skip
        try:
            yield child
        finally:
            child.kill()
            child.communicate(timeout=END_SECONDS)


def kubectl_of(machine: Machine, folder: Path) -> Kubectl:
    """The payload's kubectl with the rights of a machine's administrator; it lies in the folder."""
    archive = product(payload.archive(TARGET), TARGET.task("payload"))
    config = folder / "kubeconfig"
    config.touch(0o600)
    config.write_text(kube.for_host(machine.host.wait("kubeconfig", 60), machine.port(API)))
    return Kubectl(payload.unpack_kubectl(archive, folder), config)


def lines_until(child: subprocess.Popen[str], wanted: str, timeout: float) -> str:
    """What a kubectl that runs prints until `wanted` is among it; AssertionError when it does not come."""
    stream = cast("IO[str]", child.stdout)
    number, text = stream.fileno(), ""
    deadline = time.monotonic() + stretched(timeout)
    while wanted not in text:
        left = deadline - time.monotonic()
        ready, _, _ = select.select([number], [], [], max(0, left))
        chunk = os.read(number, 65536).decode(errors="replace") if ready else ""
        assert chunk, f"no {wanted!r} in {text!r}"
        text += chunk
    return text
