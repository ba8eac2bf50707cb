"""Reads OCI image archives back and checks them against the specification; shares no code with the writer.

Format: OCI image-spec 1.1, image-layout.md.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Layout:
    """An image archive's members, and the JSON objects of its only image."""

    members: dict[str, bytes]

    @property
    def index(self) -> dict[str, Any]:
        return self.parsed(self.members["index.json"])

    @property
    def manifest(self) -> dict[str, Any]:
        return self.parsed(self.blob(self.index["manifests"][0]))

    @property
    def config(self) -> dict[str, Any]:
        return self.parsed(self.blob(self.manifest["config"]))

    @property
    def name(self) -> str:
        """The reference under which containerd stores the image."""
        return str(self.index["manifests"][0]["annotations"]["io.containerd.image.name"])

    @staticmethod
    def parsed(data: bytes) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(data)
        return value

    def blob(self, descriptor: dict[str, Any]) -> bytes:
        algorithm, _, digest = descriptor["digest"].partition(":")
        return self.members[f"blobs/{algorithm}/{digest}"]

    def layer(self) -> tarfile.TarFile:
        """The only layer, open for reading."""
        return tarfile.open(fileobj=io.BytesIO(self.blob(self.manifest["layers"][0])), mode="r:")

    def problems(self) -> list[str]:
        """What contradicts the specification, in words; [] when the layout is sound."""
        found = []
        if self.parsed(self.members["oci-layout"]) != {"imageLayoutVersion": "1.0.0"}:
            found.append("oci-layout is wrong")
        for name, data in self.members.items():
            if name.startswith("blobs/") and name != f"blobs/sha256/{hashlib.sha256(data).hexdigest()}":
                found.append(f"blob sha256:{name.rpartition('/')[2]} has other bytes")
        layers = self.manifest["layers"]
        pointed = [self.index["manifests"][0], self.manifest["config"], *layers]
        for descriptor in pointed:
            if len(self.blob(descriptor)) != descriptor["size"]:
                found.append(f"blob {descriptor['digest']} has another size")
        if len(self.members) != 2 + len({descriptor["digest"] for descriptor in pointed}):
            found.append("a blob that nothing points to")
        if self.config["rootfs"] != {"type": "layers", "diff_ids": [layer["digest"] for layer in layers]}:
            found.append("diff_ids are not those of the uncompressed layers")
        return found


def read_layout(archive: Path) -> Layout:
    """Read a whole archive into memory."""
    with tarfile.open(archive, "r:") as tar:
        return Layout({member.name: taken(tar, member) for member in tar})


def taken(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    """A member's bytes; only regular files are allowed."""
    stream = tar.extractfile(member)
    if stream is None:
        raise AssertionError(f"{member.name} is not a regular file")
    return stream.read()
