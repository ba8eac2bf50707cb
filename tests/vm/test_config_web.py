"""A configuration from a web server: kubesolo.cloudinit=http://..., believed for its digest alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tasks.lib.boot.menu import DATA, SERIAL_LAST
from tasks.lib.vm.hardware import LOOPBACK, Hardware
from tasks.lib.vm.media import BootFiles
from tests.vm.conftest import Start
from tests.vm.node import stretched, wait_booted
from tests.vm.test_config import BOOT_SECONDS, MACHINE_SECONDS, STATIC, data_disk, switch_off

# This machine, for guests of QEMU's user network.
HOST = "10.0.2.2"

pytestmark = pytest.mark.timeout(MACHINE_SECONDS + 60)


@contextmanager
def served(text: str) -> Iterator[str]:
    """A web server on this machine, as the guest reaches it; yields the address of the file."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            """Every path is the file."""
            self.send_response(200)
            self.end_headers()
            self.wfile.write(text.encode())

    with ThreadingHTTPServer((LOOPBACK, 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://{HOST}:{server.server_port}/node.yaml"
        server.shutdown()


def from_server(stub_iso: Path, files: BootFiles, disk: Path, address: str, digest: str) -> Hardware:
    append = f"{DATA} {SERIAL_LAST} kubesolo.cloudinit={address}#sha256={digest}"
    return Hardware(
        cdrom=stub_iso,
        data=disk,
        kernel=files.kernel,
        initrd=files.initrd,
        append=append,
        network="user",
    )


def test_a_file_from_a_web_server_is_fetched_once(
    start: Start, stub_iso: Path, stub_files: BootFiles, tmp_path: Path
) -> None:
    disk, text = data_disk(tmp_path, {}), STATIC.replace("Edge-Node-01", "from-the-web")
    with served(text) as address:
        hardware = from_server(stub_iso, stub_files, disk, address, sha256(text.encode()).hexdigest())
        machine = start(hardware, MACHINE_SECONDS)
        passed = wait_booted(machine, BOOT_SECONDS)
        log = machine.host.ask("log")
        assert "config-applied" in passed, log
        machine.serial.wait("node from-the-web, 10.0.2.50 (eth0)", stretched(60))
        assert "10.0.2.15/24" not in machine.host.ask("addresses"), "the lease that it was fetched with"
        switch_off(machine)
    again = start(hardware, MACHINE_SECONDS)
    passed = wait_booted(again, BOOT_SECONDS)
    again.serial.wait("node from-the-web, 10.0.2.50 (eth0)", stretched(60))
    assert "config-applied" not in passed, "nobody serves it any more"


def test_another_file_than_the_digest_s_is_refused(
    start: Start, stub_iso: Path, stub_files: BootFiles, tmp_path: Path
) -> None:
    with served(STATIC) as address:
        hardware = from_server(stub_iso, stub_files, data_disk(tmp_path, {}), address, "0" * 64)
        machine = start(hardware, MACHINE_SECONDS)
        wait_booted(machine, BOOT_SECONDS)
        found = sha256(STATIC.encode()).hexdigest()
        machine.serial.wait(f"is not the file of #sha256=: its SHA-256 is {found}", stretched(60))
        machine.serial.wait(", 10.0.2.15 (eth0)", stretched(60))
        assert "node edge-node-01" not in machine.serial.text()
