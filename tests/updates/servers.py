"""A real HTTP server, with ranges: BusyBox httpd on the loopback address."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tasks.lib.debian import tools
from tasks.lib.vm.machine import free_port


@contextmanager
def httpd(folder: Path) -> Iterator[int]:
    """Serve a folder; gives the port."""
    port = free_port()
    words = [*tools.command("busybox"), "httpd", "-f", "-p", f"127.0.0.1:{port}", "-h", str(folder)]
    with subprocess.Popen(words, stdin=subprocess.DEVNULL) as process:
        try:
            wait_listening(port, process)
            yield port
        finally:
            process.terminate()


def wait_listening(port: int, process: subprocess.Popen[bytes]) -> None:
    """Until it answers; AssertionError when it ends before."""
    for _ in range(300):
        assert process.poll() is None, "httpd has ended"
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError("httpd does not listen")
