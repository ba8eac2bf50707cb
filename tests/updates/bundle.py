"""Bundles of a test's own: any version, any key, any fault; docs/update-server.md has the format."""

from __future__ import annotations

import copy
import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tasks.lib.release.manifest import digest

ARCHITECTURE = "amd64"
CHANNEL = "stable"


@cache
def key(name: str = "test") -> Ed25519PrivateKey:
    """A key pair of this name, always the same."""
    return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(name.encode()).digest())


def public(name: str = "test") -> str:
    """The public key, in hexadecimal digits."""
    return key(name).public_key().public_bytes_raw().hex()


@dataclass
class Bundle:
    """A folder as a server gives it; changes to `manifest` count when it is written."""

    top: Path
    manifest: dict[str, Any] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """Where the manifests lie."""
        return self.top / CHANNEL / ARCHITECTURE

    def add(self, version: str, files: Mapping[str, Path | bytes], **changes: object) -> Bundle:
        """A version's files, and its manifest as the newest one; hard links where that is possible."""
        place = self.folder / version
        place.mkdir(parents=True)
        rows = {}
        for name, source in files.items():
            out = place / name
            if isinstance(source, bytes):
                out.write_bytes(source)
            else:
                link_or_copy(source, out)
            rows[name] = {"path": f"{version}/{name}", "size": out.stat().st_size, "sha256": digest(out)}
        self.manifest = {
            "schema": 1,
            "name": "kubesolo-os",
            "version": version,
            "channel": CHANNEL,
            "architecture": ARCHITECTURE,
            "board": "generic",
            "released": "2026-11-01T00:00:00Z",
            "expires": "2036-11-01T00:00:00Z",
            "min_compatible_version": "0.1.0",
            "floor": "0.1.0",
            "notes": f"notes of {version}",
            "keys": [],
            "files": rows,
            **changes,
        }
        return self.write()

    def write(self, signed_by: str = "test", names: tuple[str, ...] = ()) -> Bundle:
        """The manifest and its signature, as latest and under its version, or under other names."""
        data = json.dumps(self.manifest, indent=1).encode()
        for name in names or ("latest", str(self.manifest["version"])):
            self.put(name, data, key(signed_by).sign(data))
        return self

    def put(self, name: str, data: bytes, signature: bytes) -> None:
        """Any bytes as a manifest, with any signature."""
        (self.folder / f"{name}.json").write_bytes(data)
        (self.folder / f"{name}.json.sig").write_bytes(signature)

    def changed(self, **changes: object) -> dict[str, Any]:
        """The manifest's values with some of them changed."""
        return {**copy.deepcopy(self.manifest), **changes}

    def file(self, name: str) -> Path:
        """A file of the manifest's version."""
        return self.folder / str(self.manifest["files"][name]["path"])


def link_or_copy(source: Path, target: Path) -> None:
    """The same bytes at another place."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
