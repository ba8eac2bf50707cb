"""Runs specs in batches side by side, keeps their verdicts, and clears away what they leave."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from tasks.lib.conformance.suite import Batch, Suite
from tasks.lib.conformance.verdicts import Verdict, Verdicts
from tasks.lib.errors import BuildError
from tasks.lib.vm.kube import Cluster

# A process of the suite needs some seconds before its first spec; what a stop loses is at most a spec.
BATCH = 5
PAUSE_SECONDS = 1
# The suite that can not begin so often in a row will not begin the next time.
MAX_TROUBLES = 3
LEFT_OVER = (
    "/apis/apps/v1/namespaces/{}/deployments", "/apis/apps/v1/namespaces/{}/statefulsets",
    "/apis/apps/v1/namespaces/{}/daemonsets", "/apis/apps/v1/namespaces/{}/replicasets",
    "/apis/batch/v1/namespaces/{}/cronjobs", "/apis/batch/v1/namespaces/{}/jobs",
    "/api/v1/namespaces/{}/replicationcontrollers", "/api/v1/namespaces/{}/services",
    "/api/v1/namespaces/{}/pods",
)  # fmt: skip
AT_ONCE = {"gracePeriodSeconds": "0", "propagationPolicy": "Background"}


@dataclass
class Schedule:
    """Specs that are still to run, and batches that run.

    say: gets each verdict. until: time.monotonic() after which nothing new begins. first: number of the first
    batch.
    """

    suite: Suite
    cluster: Cluster
    verdicts: Verdicts
    say: Callable[[str, Verdict], None]
    until: float
    first: int = 0
    troubles: int = 0
    running: dict[Batch, set[str]] = field(default_factory=dict)
    cleared: set[str] = field(default_factory=set)

    def run(self, names: Iterable[str], side_by_side: int) -> None:
        """Run these specs, so many batches at a time; what runs is ended in order when this is interrupted.

        Raises BuildError when the suite can not begin.
        """
        left = list(names)
        try:
            while left or self.running:
                while left and len(self.running) < side_by_side and time.monotonic() < self.until:
                    size = min(BATCH, -(-len(left) // side_by_side))
                    self._begin(left[:size])
                    del left[:size]
                if not self.running:
                    break
                time.sleep(PAUSE_SECONDS)
                self._collect()
        finally:
            for batch in self.running:
                batch.stop()
            for batch in list(self.running):
                batch.end()
            self._collect(clear=False)

    def _begin(self, names: list[str]) -> None:
        known = self._namespaces()
        self.running[Batch(self.suite, names, self.first)] = known
        self.first += 1

    def _collect(self, *, clear: bool = True) -> None:
        """Keep the verdicts of the batches that have ended."""
        ended = [batch for batch in self.running if not batch.running()]
        for batch in ended:
            del self.running[batch]
            self._keep(batch)
        if ended and clear:
            self._clear()

    def _keep(self, batch: Batch) -> None:
        try:
            found = batch.verdicts()
        except BuildError:
            self.troubles += 1
            if self.troubles >= MAX_TROUBLES:
                raise
            return
        self.troubles = 0
        self.verdicts.add(found)
        for name, verdict in found.items():
            self.say(name, verdict)

    def _namespaces(self) -> set[str]:
        """The namespaces that specs have made."""
        listed = self.cluster.get("/api/v1/namespaces", labelSelector="e2e-run")["items"]
        return {thing["metadata"]["name"] for thing in listed}

    def _clear(self) -> None:
        """Delete what runs in namespaces of batches that have ended: in those older than all that run."""
        old = self._namespaces().intersection(*self.running.values()) - self.cleared
        for name in sorted(old):
            for path in LEFT_OVER:
                try:
                    self.cluster.request("DELETE", path.format(name), params=AT_ONCE)
                except BuildError:
                    continue  # the namespace may be on its way out
            self.cleared.add(name)
