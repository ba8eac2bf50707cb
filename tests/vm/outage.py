"""How long something was away: API and NodePort asked from the host, cluster DNS from inside a pod."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from tasks.lib.errors import BuildError
from tasks.lib.vm.kube import Cluster, Object
from tests.vm import web

PAUSE_SECONDS = 0.5
PATIENCE_SECONDS = 3


class Watch:
    """Asks again and again; remembers when it was answered."""

    def __init__(self, ask: Callable[[], bool]) -> None:
        self.ask = ask
        self.answered: list[float] = []
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self) -> None:
        """Until it is stopped."""
        while not self.stop.is_set():
            if self.ask():
                self.answered.append(time.monotonic())
            self.stop.wait(PAUSE_SECONDS)

    def longest(self) -> float:
        """The longest time between two answers, in seconds."""
        return longest_gap(self.answered)


def longest_gap(times: Iterable[float]) -> float:
    """The longest time between two of them; they are in order."""
    return max((b - a for a, b in itertools.pairwise(times)), default=0)


@contextmanager
def watching(*watches: Watch) -> Iterator[None]:
    """The watches run until the end of the block."""
    for watch in watches:
        watch.thread.start()
    try:
        yield
    finally:
        for watch in watches:
            watch.stop.set()
        for watch in watches:
            watch.thread.join(60)


def api_answers(cluster: Cluster) -> bool:
    """Whether the API is ready, asked once."""
    try:
        return cluster.request("GET", "/readyz", timeout=PATIENCE_SECONDS).ok
    except BuildError:
        return False


def dns_watch(name: str, server: str) -> Object:
    """A pod that asks cluster DNS for the API's name and prints its uptime whenever it is answered."""
    # A lost question is not asked again: that would hide the loss. The last one is asked before the pod ends.
    ask = f"nslookup -type=a -timeout=2 -retry=1 kubernetes.default.svc.cluster.local {server}"
    return web.shell_pod(
        name,
        f"while sleep {PAUSE_SECONDS}; do ! {ask} >/dev/null 2>&1 || read -r up rest </proc/uptime;"
        ' [ "$up" = "$said" ] || echo "$up"; said=$up; done',
    )


def dns_longest(cluster: Cluster, name: str) -> float:
    """The longest time between two answers in the log of a dns_watch, in the guest's seconds."""
    return longest_gap(float(line) for line in cluster.logs(name).splitlines())
