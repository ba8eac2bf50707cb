"""A node with two slots, and the server of its updates, as a test reaches both."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tasks.lib.debian import tools
from tasks.lib.process import run
from tasks.lib.vm.hardware import Hardware
from tasks.lib.vm.machine import Machine, free_port
from tests.powercut.slotdisk import DATA_OFFSET
from tests.updates import bundle, servers
from tests.updates.bundle import Bundle
from tests.vm.shell import Key

# The host, as QEMU's own network calls it.
HOST = "10.0.2.2"
CONFIGURATION = "etc-kubesolo/cloud-init.yaml"
SETTINGS = "etc-kubesolo/update.conf"


def write_data(disk: Path, files: Mapping[str, str | Path], scratch: Path) -> None:
    """Files on the data partition of a disk that has never been started."""
    place = f"{disk}?offset={DATA_OFFSET}"
    folders = sorted({str(parent) for name in files for parent in Path(name).parents} - {"."})
    requests = [f"mkdir /{folder}" for folder in folders]
    for number, (name, content) in enumerate(files.items()):
        source = content if isinstance(content, Path) else scratch / f"file-{number}"
        if not isinstance(content, Path):
            source.write_text(content)
        requests.append(f"write {source} /{name}")
    for request in requests:
        run([*tools.command("debugfs"), "-w", "-R", request, place])


@dataclass
class Site:
    """A node's disk, its key, and the server of its updates."""

    disk: Path
    key: Key
    bundle: Bundle
    port: int
    forwards: dict[int, int] = field(default_factory=dict)

    def hardware(self) -> Hardware:
        forwards = {22: free_port(), **self.forwards}
        return Hardware(data=self.disk, network="user", forwards=forwards)

    def ask(self, machine: Machine, command: str, seconds: float = 120) -> dict[str, Any]:
        """An answer in JSON, whatever the exit status."""
        done = self.key.on(machine, f"kubesolo-update {command} --json", seconds)
        try:
            # What the client says of a connection that a reboot has closed may stand on both sides.
            return dict(json.JSONDecoder().raw_decode(done.stdout, done.stdout.index("{"))[0])
        except ValueError:
            raise AssertionError(f"{command}: status {done.returncode}: {done.stdout}") from None


@contextmanager
def opened(
    disk: Path, folder: Path, more: str = "", files: Mapping[str, str | Path] | None = None
) -> Iterator[Site]:
    """The disk of a node that a key reaches and that follows a server; more: lines of update.conf."""
    key = Key.make(folder)
    made = Bundle(folder / "served")
    made.top.mkdir()
    with servers.httpd(made.top) as port:
        settings = f"server=http://{HOST}:{port}\npubkey={bundle.public()}\n{more}"
        written = {
            CONFIGURATION: f"#cloud-config\n{key.configuration()}",
            SETTINGS: settings,
            **(files or {}),
        }
        write_data(disk, written, folder)
        yield Site(disk, key, made, port)
