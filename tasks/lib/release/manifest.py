"""What a product says about itself: os-release, manifest.json and SHA256SUMS."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

NAME = "KubeSolo OS"
ID = "kubesolo-os"
ARCHITECTURE = "amd64"
MANIFEST_SCHEMA = 1


@dataclass(frozen=True)
class Part:
    """One component of a product.

    kind: package, module or file. version, source: as its origin counts and names them. sha256: of what
    was fetched or built, hex. licence: SPDX expression, or what the package's copyright file calls it.
    """

    name: str
    kind: str
    version: str
    source: str
    sha256: str
    licence: str


def parts_text(parts: Iterable[Part]) -> str:
    """Parts as JSON, for a task that hands them on to the manifest."""
    return json.dumps([asdict(part) for part in parts], indent=1) + "\n"


def read_parts(path: Path) -> list[Part]:
    """The parts that a task has handed on."""
    return [Part(**row) for row in json.loads(path.read_text())]


def file_name(version: str, suffix: str, architecture: str = ARCHITECTURE) -> str:
    """The name of a product in output/, e.g. kubesolo-os-0.1.0-amd64.iso."""
    return f"{ID}-{version}-{architecture}.{suffix}"


def os_release(version: str, epoch: int) -> str:
    """The text of /usr/lib/os-release (os-release(5)); BUILD_EPOCH is ours: no clock goes below it."""
    fields = {
        "NAME": NAME,
        "ID": ID,
        "VERSION": version,
        "VERSION_ID": version,
        "PRETTY_NAME": f"{NAME} {version}",
        "IMAGE_ID": ID,
        "IMAGE_VERSION": version,
        "ARCHITECTURE": ARCHITECTURE,
        "BUILD_EPOCH": str(epoch),
    }
    return "".join(f'{key}="{value}"\n' for key, value in fields.items())


def digest(path: Path) -> str:
    """The SHA-256 of a file, hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def checksums(files: Iterable[tuple[str, Path]]) -> str:
    """The text of SHA256SUMS (sha256sum(1)) for files given as name and where they lie now."""
    return "".join(f"{digest(path)}  {name}\n" for name, path in files)


def manifest(product: str, version: str, epoch: int, image: Path, parts: Iterable[Part]) -> str:
    """The text of manifest.json: the product's file, and every part it was made of, by kind and name.

    product: file name of the image; image: where it lies now. epoch: seconds since 1970.
    """
    created = datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    rows = sorted(
        (asdict(part) for part in parts), key=lambda row: (row["kind"], row["name"], row["version"])
    )
    document = {
        "schema": MANIFEST_SCHEMA,
        "name": ID,
        "version": version,
        "architecture": ARCHITECTURE,
        "created": created,
        "file": {"name": product, "size": image.stat().st_size, "sha256": digest(image)},
        "parts": rows,
    }
    return json.dumps(document, indent=2) + "\n"
