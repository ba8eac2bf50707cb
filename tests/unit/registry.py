"""A real registry: Debian's docker-registry, with TLS and a login where that is wanted."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tasks.lib.debian import tools
from tasks.lib.process import run
from tasks.lib.vm.machine import free_port
from tests.updates.servers import wait_listening


@contextmanager
def registry(folder: Path, more: str = "", address: str = "127.0.0.1") -> Iterator[str]:
    """Serve what is pushed from a folder; more: YAML below http, and what follows. Gives host:port."""
    port = free_port()
    folder.mkdir(parents=True, exist_ok=True)
    settings = folder / "registry.yml"
    settings.write_text(
        f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {folder}/data}}}}\n"
        f"log: {{level: error}}\nhttp:\n  addr: {address}:{port}\n{more}"
    )
    words = [*tools.command("docker-registry", "registry"), "serve", str(settings)]
    with subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
        try:
            wait_listening(port, process)
            yield f"{address}:{port}"
        finally:
            process.terminate()


def push(archive: Path, place: str, *options: str) -> None:
    """Push the only image of an OCI archive."""
    skopeo = [*tools.command("skopeo", "skopeo"), "copy", "--quiet", "--insecure-policy"]
    run([*skopeo, "--dest-tls-verify=false", *options, f"oci-archive:{archive}", f"docker://{place}"])
