"""Puts images from registries and archives together into one OCI layout, and that into one archive.

Formats: OCI image-spec 1.1, image-layout.md; the archives of `docker save` are read by skopeo. Each image is
named by containerd's annotation, which the node's importer looks for first (payload/internal/airgap).
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.lib.airgap.names import full_name
from tasks.lib.debian import tools
from tasks.lib.errors import BuildError
from tasks.lib.formats import oci
from tasks.lib.formats.entry import Content
from tasks.lib.process import run

SAVED = "manifest.json"
INDEX = "index.json"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"


@dataclass(frozen=True)
class Options:
    """How images are taken: architecture, one of all; file with credentials; whether certificates count."""

    architecture: str
    every: bool = False
    authfile: str = ""
    insecure: bool = False


class Layout:
    """A folder that becomes an OCI layout of several images."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.blobs = folder / "layout/blobs/sha256"
        self.blobs.mkdir(parents=True)
        self.entries: dict[str, dict[str, Any]] = {}

    def add(self, name: str, entry: dict[str, Any]) -> None:
        """Note an image, whose blobs are there, under its full name."""
        if name in self.entries:
            raise BuildError(f"{name}: is there twice", "name it once, or leave out one of the archives")
        kept = {key: value for key, value in entry.items() if key != "annotations"}
        self.entries[name] = {**kept, "annotations": {oci.CONTAINERD_NAME: name, oci.REF_NAME: name}}

    def pull(self, source: str, name: str, options: Options) -> None:
        """Copy an image from wherever skopeo can read it (containers-transports(5))."""
        words = [*tools.command("skopeo", "skopeo"), "copy", "--quiet", "--insecure-policy"]
        words += ["--override-os", "linux", "--override-arch", options.architecture]
        words += ["--multi-arch", "all" if options.every else "system"]
        if options.authfile:
            words += ["--src-authfile", options.authfile]
        if options.insecure and source.startswith("docker:"):
            words += ["--src-tls-verify=false"]
        place = self.folder / "layout"
        run(
            [*words, source, f"oci:{place}:image"],
            env={"TMPDIR": str(self.folder)},
            hint="is the name right, the registry reachable, and are you logged in (--authfile)?",
        )
        (entry,) = json.loads((place / INDEX).read_text())["manifests"]
        # The next one starts a list of its own; blobs that both have are there once.
        (place / INDEX).unlink()
        self.add(name, entry)

    def take(self, archive: Path, options: Options) -> None:
        """Add the images of an archive: an OCI layout, or one of `docker save`."""
        plain = self.unpacked(archive)
        names, before = members(plain, archive), len(self.entries)
        if INDEX in names:
            self.merge(plain, member(plain, names[INDEX]), archive)
        elif SAVED in names:
            listed = json.loads(member(plain, names[SAVED]))
            for name in [tag for image in listed for tag in image.get("RepoTags") or ()]:
                self.pull(f"docker-archive:{plain}:{name}", full_name(name), options)
        else:
            raise BuildError(f"{archive}: has neither {INDEX} nor {SAVED}", "it is no archive of images")
        if len(self.entries) == before:
            raise BuildError(
                f"{archive}: none of its images has a name", "save it by its name, not by its id"
            )

    def merge(self, plain: Path, index: bytes, archive: Path) -> None:
        """Copy the blobs of an OCI layout, each compared with its digest."""
        with tarfile.open(plain, "r:") as tar:
            for found in tar:
                path = Path(found.name)
                if not found.isfile() or path.parent != Path("blobs/sha256"):
                    continue
                stream = tar.extractfile(found)
                assert stream is not None
                with (self.blobs / path.name).open("wb") as out:
                    shutil.copyfileobj(stream, out)
                with (self.blobs / path.name).open("rb") as written:
                    digest = hashlib.file_digest(written, "sha256").hexdigest()
                if digest != path.name:
                    raise BuildError(f"{archive}: {found.name} is damaged", "make the archive anew")
        for entry in json.loads(index)["manifests"]:
            image = named(entry.get("annotations") or {})
            if image:
                if not (self.blobs / entry["digest"].partition(":")[2]).is_file():
                    raise BuildError(f"{archive}: {image} is not in it, only named", "make the archive anew")
                self.add(image, entry)

    def unpacked(self, archive: Path) -> Path:
        """The archive as a tar without compression."""
        with archive.open("rb") as stream:
            head = stream.read(4)
        programs = {ZSTD_MAGIC: "zstd", b"\x1f\x8b": "gzip"}
        program = programs.get(head) or programs.get(head[:2])
        if program is None:
            return archive
        plain = self.folder / f"{len(list(self.folder.iterdir()))}.tar"
        if program == "gzip":
            import gzip

            try:
                with gzip.open(archive) as packed, plain.open("wb") as out:
                    shutil.copyfileobj(packed, out)
            except (EOFError, OSError) as error:
                raise BuildError(f"{archive}: {error}", "make the archive anew") from error
        else:
            run([*tools.command("zstd"), "-q", "-d", archive, "-o", plain], hint="make the archive anew")
        return plain

    def write(self, out: Path, epoch: int) -> None:
        """Write the archive: what names the images first, so that a reader knows them at once."""
        index = {
            "schemaVersion": 2,
            "mediaType": oci.INDEX_TYPE,
            "manifests": [self.entries[name] for name in sorted(self.entries)],
        }
        contents: dict[str, Content] = {
            "oci-layout": oci.to_json({"imageLayoutVersion": "1.0.0"}),
            INDEX: oci.to_json(index),
        }
        contents.update({f"blobs/sha256/{path.name}": path for path in sorted(self.blobs.iterdir())})
        oci.write_members(contents, out, epoch)


def named(annotations: dict[str, str]) -> str:
    """The full name of an entry of an index, "" without one: a tag alone is none."""
    name = annotations.get(oci.CONTAINERD_NAME) or annotations.get(oci.REF_NAME) or ""
    return full_name(name) if "/" in name else ""


def members(plain: Path, archive: Path) -> dict[str, str]:
    """The paths in a tar, with the names that they have there."""
    try:
        with tarfile.open(plain, "r:") as tar:
            return {Path(name).as_posix(): name for name in tar.getnames()}
    except tarfile.TarError as error:
        raise BuildError(f"{archive}: {error}", "it is no tar, or a damaged one") from error


def member(plain: Path, name: str) -> bytes:
    """A file of the tar."""
    with tarfile.open(plain, "r:") as tar:
        stream = tar.extractfile(name)
        return stream.read() if stream else b"{}"
