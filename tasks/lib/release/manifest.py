"""What a product says about itself: os-release, manifest.json and SHA256SUMS."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from tasks.lib.provider import Part
from tasks.lib.target import Target

NAME = "KubeSolo OS"
ID = "kubesolo-os"
MANIFEST_SCHEMA = 1


def file_name(target: Target, suffix: str, system: str = ID) -> str:
    """The name of a product, e.g. kubesolo-os-0.1.0-amd64.iso; other variants have their label in it."""
    label = f"-{target.label}" if target.label not in ("", target.arch.name) else ""
    return f"{system}{label}-{target.version}-{target.arch.name}.{suffix}"


def os_release(version: str, epoch: int, architecture: str) -> str:
    """The text of /usr/lib/os-release (os-release(5)); BUILD_EPOCH is ours: no clock goes below it."""
    fields = {
        "NAME": NAME,
        "ID": ID,
        "VERSION": version,
        "VERSION_ID": version,
        "PRETTY_NAME": f"{NAME} {version}",
        "IMAGE_ID": ID,
        "IMAGE_VERSION": version,
        "ARCHITECTURE": architecture,
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


def manifest(
    product: str,
    version: str,
    architecture: str,
    epoch: int,
    file: tuple[int, str],
    parts: Iterable[Part],
    system: str = ID,
) -> str:
    """The text of a product's manifest: the product's file, and every part it was made of, by kind and name.

    product: file name of the image; file: its size in bytes and its SHA-256. epoch: seconds since 1970.
    system: what the product is.
    """
    created = datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    rows = sorted(
        (asdict(part) for part in parts), key=lambda row: (row["kind"], row["name"], row["version"])
    )
    document = {
        "schema": MANIFEST_SCHEMA,
        "name": system,
        "version": version,
        "architecture": architecture,
        "created": created,
        "file": {"name": product, "size": file[0], "sha256": file[1]},
        "parts": rows,
    }
    return json.dumps(document, indent=2) + "\n"
