"""What lies beside every product: its manifest and its bill of materials."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tasks.lib.engine import Build
from tasks.lib.provider import NOASSERTION, Part, read_parts
from tasks.lib.release import sbom
from tasks.lib.release.manifest import ID, digest, manifest


@dataclass(frozen=True)
class Origin:
    """Where a product's parts come from: lists of them, and the bill of materials that was made of these."""

    listings: tuple[Path, ...]
    sbom: Path

    def files(self) -> list[Path]:
        """All of it, for a task that depends on it."""
        return [*self.listings, self.sbom]


def describe(b: Build, name: str, origin: Origin, own: Mapping[str, Path], system: str = ID) -> None:
    """Write manifest and bill of materials of the product that lies finished in b.outs[0] into the next two.

    name: the product's file name. own: what was built here and is in it, by name. The values of the build
    have version, architecture and epoch (Target.description). system: what the product is, for programs.
    """
    image, listing, document = b.outs
    version, architecture = b.values["version"], b.values["architecture"]
    sha256 = b.sha256(image)
    parts = [part for path in origin.listings for part in read_parts(path)]
    parts += [
        Part(file, "file", version, "this repository", digest(path), NOASSERTION)
        for file, path in own.items()
    ]
    file = (image.stat().st_size, sha256)
    listing.write_text(manifest(name, version, architecture, b.epoch, file, parts, system))
    document.write_text(sbom.completed(origin.sbom.read_text(), name, sha256))
