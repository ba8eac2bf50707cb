"""An OCI archive laid out so that a node runs its image from where it lies.

payload/internal/shipped reads it.

A folder named after the manifest's SHA-256 holds index.json, manifest.json and config.json, byte for byte
those of the archive, and in root/ the files of the only layer. Another image never has the same path, so that
what a node notes of a path can not come to mean something else with an update of the system.
"""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

from tasks.lib.errors import BuildError
from tasks.lib.formats.tree import Tree


def unpacked(archive: Path, scratch: Path) -> Tree:
    """The tree of an archive of one image with one uncompressed layer; scratch: where the layer goes.

    The tree's files stay in the scratch folder. Raises BuildError for an archive of another kind.
    """
    with tarfile.open(archive, "r:") as tar:
        index = member(tar, "index.json", archive)
        entry = only(json.loads(index)["manifests"], "image", archive)
        manifest = member(tar, blob(entry), archive)
        described = json.loads(manifest)
        config = member(tar, blob(described["config"]), archive)
        layer = only(described["layers"], "layer", archive)
        if not layer["mediaType"].endswith(".tar"):
            raise BuildError(f"{archive}: its layer is compressed", "squashfs compresses it better")
        content = scratch / f"{archive.stem}-layer.tar"
        content.write_bytes(member(tar, blob(layer), archive))
    folder = entry["digest"].partition(":")[2]
    tree = Tree()
    tree.add_dir(f"{folder}/root")
    tree.add_tar(content, f"{folder}/root")
    for name, text in (("index.json", index), ("manifest.json", manifest), ("config.json", config)):
        tree.add_file(f"{folder}/{name}", text)
    return tree


def only(found: list[dict[str, Any]], what: str, archive: Path) -> dict[str, Any]:
    """The only element of a list."""
    if len(found) != 1:
        raise BuildError(f"{archive}: has {len(found)} {what}s", f"an image of the system has one {what}")
    return found[0]


def blob(descriptor: dict[str, Any]) -> str:
    """The path of what a descriptor means (image-layout.md)."""
    return "blobs/" + str(descriptor["digest"]).replace(":", "/")


def member(tar: tarfile.TarFile, name: str, archive: Path) -> bytes:
    """The bytes of a file in the archive."""
    try:
        stream = tar.extractfile(name)
    except KeyError:
        stream = None
    if stream is None:
        raise BuildError(f"{archive}: has no {name}", "it is no OCI archive")
    return stream.read()
