"""Container images as OCI archives: deterministic, layers uncompressed, importable by containerd.

Formats: OCI image-spec 1.1 (image-layout.md, image-index.md, manifest.md, config.md, layer.md). Layers are
stored as plain tar because the squashfs that carries the archive compresses them, and better.
"""

from __future__ import annotations

import hashlib
import json
import re
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tasks.lib.errors import BuildError
from tasks.lib.formats.entry import Content, Entry, tar_header
from tasks.lib.formats.tree import Tree

INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"
# The name under which containerd's importer stores the image; the OCI annotation holds only the tag.
CONTAINERD_NAME = "io.containerd.image.name"
REF_NAME = "org.opencontainers.image.ref.name"
# distribution-spec 1.1: a repository with its registry, and a tag.
REFERENCE = re.compile(
    r"[a-z0-9][a-z0-9.-]*(?::\d+)?(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)+:[A-Za-z0-9_][\w.-]{0,127}"
)

Json = dict[str, Any]


@dataclass(frozen=True)
class Image:
    """What an image is called, what it holds and how it runs.

    name: full reference with registry and tag. tree: the files. user: "uid:gid" or "uid". ports: what it
    listens on, such as "80/tcp". annotations: of the manifest, by their full names. below: layers under the
    tree, the lowest first; images that name the same Tree share it. command: the entrypoint's arguments.
    """

    name: str
    tree: Tree
    entrypoint: tuple[str, ...]
    user: str = "0:0"
    environment: Mapping[str, str] = field(default_factory=dict)
    ports: tuple[str, ...] = ()
    annotations: Mapping[str, str] = field(default_factory=dict)
    architecture: str = "amd64"
    below: tuple[Tree, ...] = ()
    command: tuple[str, ...] = ()

    @property
    def layers(self) -> tuple[Tree, ...]:
        """All of them, the lowest first."""
        return (*self.below, self.tree)

    @property
    def tag(self) -> str:
        """The part of the name after the last colon."""
        return self.name.rpartition(":")[2]


@dataclass(frozen=True)
class Blob:
    """A piece of an image that others point to by its digest."""

    media_type: str
    content: Content
    size: int
    sha256: str

    @property
    def descriptor(self) -> Json:
        """How others point to it (descriptor.md)."""
        return {"mediaType": self.media_type, "digest": f"sha256:{self.sha256}", "size": self.size}


def write_archive(image: Image, out: Path, epoch: int, scratch: Path) -> str:
    """Write an image layout of one image as an uncompressed tar; return the manifest's digest ("sha256:…").

    epoch: the time of every file and of the image, in seconds since 1970. scratch: a folder for the layers.
    Raises BuildError when the name is no full reference.
    """
    (digest,) = write_archives([image], out, epoch, scratch)
    return digest


def write_archives(images: Sequence[Image], out: Path, epoch: int, scratch: Path) -> list[str]:
    """The same for several images, whose common layers are there once; returns the manifests' digests.

    oci-layout and index.json come first, so that a reader knows names and digests without reading the blobs.
    """
    for image in images:
        if not REFERENCE.fullmatch(image.name):
            raise BuildError(f"{image.name!r} is not a full image reference", "write registry/repository:tag")
    layers = write_layers(images, epoch, scratch)
    blobs: dict[str, Blob] = {}
    manifests: list[Blob] = []
    for image in images:
        own = [layers[id(tree)] for tree in image.layers]
        config = json_blob(CONFIG_TYPE, config_of(image, own, epoch))
        manifest = json_blob(MANIFEST_TYPE, manifest_of(image, config, own))
        manifests.append(manifest)
        blobs |= {blob.sha256: blob for blob in (*own, config, manifest)}
    members: dict[str, Content] = {
        "oci-layout": to_json({"imageLayoutVersion": "1.0.0"}),
        "index.json": to_json(index_of(images, manifests)),
        **{f"blobs/sha256/{name}": blobs[name].content for name in sorted(blobs)},
    }
    write_members(members, out, epoch)
    return [f"sha256:{manifest.sha256}" for manifest in manifests]


def write_layers(images: Iterable[Image], epoch: int, scratch: Path) -> dict[int, Blob]:
    """Every tree of the images as a blob, by the tree's id()."""
    blobs: dict[int, Blob] = {}
    for tree in (tree for image in images for tree in image.layers):
        if id(tree) not in blobs:
            file = scratch / f"layer-{len(blobs)}.tar"
            tree.write_tar(file, epoch)
            blobs[id(tree)] = file_blob(LAYER_TYPE, file)
    return blobs


def config_of(image: Image, layers: Sequence[Blob], epoch: int) -> Json:
    """The image's configuration (config.md)."""
    created = datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    run: Json = {"User": image.user, "Entrypoint": list(image.entrypoint), "WorkingDir": "/"}
    if image.command:
        run["Cmd"] = list(image.command)
    if image.environment:
        run["Env"] = [f"{name}={value}" for name, value in sorted(image.environment.items())]
    if image.ports:
        run["ExposedPorts"] = {port: {} for port in sorted(image.ports)}
    return {
        "created": created,
        "architecture": image.architecture,
        "os": "linux",
        "config": run,
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer.sha256}" for layer in layers]},
        "history": [{"created": created, "created_by": f"kubesolo-os {image.name}"} for _ in layers],
    }


def manifest_of(image: Image, config: Blob, layers: Sequence[Blob]) -> Json:
    """The image's manifest (manifest.md)."""
    return {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": config.descriptor,
        "layers": [layer.descriptor for layer in layers],
        "annotations": {"org.opencontainers.image.version": image.tag, **image.annotations},
    }


def index_of(images: Sequence[Image], manifests: Sequence[Blob]) -> Json:
    """The layout's index (image-layout.md, index.json)."""
    entries = [
        {
            **manifest.descriptor,
            "platform": {"architecture": image.architecture, "os": "linux"},
            "annotations": {CONTAINERD_NAME: image.name, REF_NAME: image.tag},
        }
        for image, manifest in zip(images, manifests, strict=True)
    ]
    return {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": entries}


def to_json(value: Json) -> bytes:
    """JSON with sorted keys and no white space: equal values have equal bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def json_blob(media_type: str, value: Json) -> Blob:
    """A blob that holds a JSON object."""
    data = to_json(value)
    return Blob(media_type, data, len(data), hashlib.sha256(data).hexdigest())


def file_blob(media_type: str, path: Path) -> Blob:
    """A blob that holds a file's bytes."""
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256")
    return Blob(media_type, path, path.stat().st_size, digest.hexdigest())


def write_members(members: Mapping[str, Content], out: Path, epoch: int) -> None:
    """Write files as a tar, in the order given."""
    with out.open("wb") as stream, tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, content in members.items():
            entry = Entry("file", 0o644, content)
            with entry.open() as source:
                tar.addfile(tar_header(name, entry, epoch), source)


def rename(archive: Path, name: str, out: Path, epoch: int) -> None:
    """Write an archive of write_archive() anew under another name; the image and its digest are the same.

    Raises BuildError when the name is no full reference, or the archive holds not exactly one image.
    """
    if not REFERENCE.fullmatch(name):
        raise BuildError(f"{name!r} is not a full image reference", "write registry/repository:tag")
    members = Tree()
    members.add_tar(archive)
    index = json.loads(members["index.json"].read())
    if len(index["manifests"]) != 1:
        raise BuildError(f"{archive}: holds {len(index['manifests'])} images, not one")
    index["manifests"][0]["annotations"] = {CONTAINERD_NAME: name, REF_NAME: name.rpartition(":")[2]}
    files: dict[str, Content] = {"oci-layout": members["oci-layout"].content, "index.json": to_json(index)}
    files |= {
        path: entry.content for path, entry in members.items() if entry.kind == "file" and path not in files
    }
    write_members(files, out, epoch)
