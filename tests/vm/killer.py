"""Kills the payload from inside the node, again and again: the API is away meanwhile."""

from __future__ import annotations

from collections.abc import Sequence

from tasks.lib.vm.kube import Object
from tests.vm import web


def killer(name: str, ages: Sequence[float]) -> Object:
    """A pod that kills one start of the payload after the other; each may become so many seconds old.

    It ends when the last one is ready: of a container that ends while containerd is away, nobody knows how
    (containerd removes its shim as leaked when it comes back).
    """
    ready = "$(grep -c ^readyz /host/run/kubesolo/milestones)"
    return web.shell_pod(
        name,
        f"killed=; for age in {' '.join(map(str, ages))}; do"
        ' while pid=$(pidof kubesolo) || pid=; [ -z "$pid" ] || [ "$pid" = "$killed" ]; do sleep 0.2; done;'
        f' sleep "$age"; before={ready}; kill -9 "$pid"; killed=$pid; echo "killed $pid"; done;'
        f' while [ "{ready}" = "$before" ]; do sleep 1; done',
        privileged=True,
    )
