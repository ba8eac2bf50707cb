"""The suite's program: what it lists, and a batch of its specs as one process."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tasks.lib.conformance import reports
from tasks.lib.conformance.specs import focus_options, parse_list
from tasks.lib.conformance.verdicts import Verdict
from tasks.lib.errors import BuildError
from tasks.lib.process import die_with_parent, environment, run

# A spec that waits for what never comes ends by itself long before.
BATCH_TIMEOUT = "2h"
# What a spec that is interrupted has for its own tidying up, before the process is killed.
STOP_SECONDS = 60


@dataclass(frozen=True)
class Suite:
    """program: e2e.test. registries: where its images are. kubeconfig, kubectl: for the node.
    folder: of the reports.
    """

    program: Path
    registries: Path
    kubeconfig: Path
    kubectl: Path
    folder: Path

    def command(self, batch: Sequence[str], folder: Path) -> list[str]:
        """The words that run a batch. Namespaces stay: deleting them takes as long as the specs do."""
        return [
            str(self.program),
            f"--kubeconfig={self.kubeconfig}",
            f"--kubectl-path={self.kubectl}",
            f"--kube-test-repo-list={self.registries}",
            f"--e2e-output-dir={folder}",
            f"--ginkgo.json-report={folder / 'report.json'}",
            f"--ginkgo.timeout={BATCH_TIMEOUT}",
            "--ginkgo.no-color",
            "--ginkgo.v",
            "--delete-namespace=false",
            "--disable-log-dump",
            "--provider=skeleton",
            "--num-nodes=1",
            *focus_options(batch),
        ]


def list_specs(program: Path, registries: Path) -> list[str]:
    """The names of all specs. Raises BuildError when the program does not run."""
    words = [str(program), f"--kube-test-repo-list={registries}", "--list-tests"]
    return parse_list(run(words).stdout.decode())


def wanted_images(program: Path, registries: Path) -> list[str]:
    """The full names of the images that specs may ask for."""
    words = [str(program), f"--kube-test-repo-list={registries}", "--list-images"]
    return sorted(set(run(words).stdout.decode().split()))


class Batch:
    """Some specs in one process of the suite."""

    def __init__(self, suite: Suite, names: Sequence[str], number: int) -> None:
        """number: of the folder for its reports and its log."""
        self.names = list(names)
        self.folder = suite.folder / f"{number:04d}"
        self.folder.mkdir(parents=True)
        with (self.folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                suite.command(names, self.folder),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env=environment({"HOME": str(self.folder)}),
                start_new_session=True,  # Ctrl-C is handed on by stop()
                preexec_fn=die_with_parent,
            )

    def running(self) -> bool:
        """Whether it goes on."""
        return self._process.poll() is None

    def stop(self) -> None:
        """Have it end with a report of what is done."""
        if self.running():
            self._process.send_signal(signal.SIGINT)

    def end(self) -> None:
        """Wait a while for it to end, then end it."""
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def verdicts(self) -> dict[str, Verdict]:
        """What became of its specs, as far as that is known.

        Raises BuildError when the suite did not get as far as its specs, with the end of its log.
        """
        try:
            report = self.folder / "report.json"
            found = reports.read(report, self.names)
            reports.shrink(report)
            return found
        except BuildError as error:
            tail = (self.folder / "log").read_text(errors="replace")[-2000:]
            raise BuildError(f"{error.what}\n{tail}") from error
