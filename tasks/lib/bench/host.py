"""The machine on which something was measured, by what matters for the figures."""

from __future__ import annotations

import os
import platform
import time
from dataclasses import dataclass
from pathlib import Path

from tasks.lib.engine.capacity import processors

KIB_PER_GIB = 1 << 20


@dataclass(frozen=True)
class Host:
    """cpu: model name. cores: those that this process may use. memory: in GiB. load: runnable processes."""

    cpu: str
    cores: int
    memory: float
    load: float
    date: str

    def __str__(self) -> str:
        busy = f"; other work was going on (load {self.load:.1f})" if self.load > 0.5 else ""
        return f"{self.cpu}, {self.cores} cores, {self.memory:.0f} GiB of RAM; {self.date}{busy}"


def describe_host() -> Host:
    """This machine, now."""
    cpus, memory = Path("/proc/cpuinfo"), Path("/proc/meminfo")
    model = field(cpus.read_text(), "model name") if cpus.exists() else platform.processor()
    total = int(field(memory.read_text(), "MemTotal").split()[0]) if memory.exists() else 0
    cores = processors()
    date = time.strftime("%Y-%m-%d", time.gmtime())
    return Host(model, cores, total / KIB_PER_GIB, os.getloadavg()[0], date)


def field(text: str, name: str) -> str:
    """The value of the first line `name : value`, or "unknown"."""
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return "unknown"
