"""A product's bill of materials as an SPDX 2.3 document (spdx.github.io/spdx-spec/v2.3), by SPDX' library.

It is made in two steps: `template` from the parts, which takes the library a second, and `completed` with the
product's own name and digest, which no edit of a boot stage has to wait for.
"""

from __future__ import annotations

import functools
import io
import json
import re
import uuid
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import quote

from tasks.lib.provider import NOASSERTION, Part
from tasks.lib.release.manifest import ID, NAME

if TYPE_CHECKING:
    from license_expression import Licensing
    from spdx_tools.spdx.model import Document, ExtractedLicensingInfo, Package

PRODUCT = "SPDXRef-product"
DOCUMENT = "SPDXRef-DOCUMENT"
REFERENCE = re.compile(r"LicenseRef-[A-Za-z0-9.-]+")
# What a product is: for programs and for people.
System = tuple[str, str]
OURS: System = (ID, NAME)


def template(
    parts: Iterable[Part], version: str, architecture: str, epoch: int, system: System = OURS
) -> str:
    """The document of a product of these parts, but for the product's file. epoch: seconds since 1970."""
    from spdx_tools.spdx.writer.json.json_writer import write_document_to_stream

    text = io.StringIO()
    made = document(list(parts), version, architecture, epoch, system)
    write_document_to_stream(made, text, validate=False)
    return text.getvalue()


def completed(text: str, name: str, sha256: str) -> str:
    """The document about the file `name`, whose digest also makes the document's own name unique."""
    found = json.loads(text)
    product = next(package for package in found["packages"] if package["SPDXID"] == PRODUCT)
    product["packageFileName"] = name
    product["checksums"] = [{"algorithm": "SHA256", "checksumValue": sha256}]
    found["name"] = name
    found["documentNamespace"] = namespace(f"{name} {sha256}")
    return json.dumps(found, indent=1) + "\n"


def namespace(text: str) -> str:
    """A URI that stands for the text alone."""
    return uuid.uuid5(uuid.NAMESPACE_URL, text).urn


def document(
    parts: list[Part], version: str, architecture: str, epoch: int, system: System = OURS
) -> Document:
    """The document as SPDX' library knows it; packages and modules are packages that the product contains."""
    from spdx_tools.spdx import model

    packages = [product(version, architecture, system), *map(package, ids(parts), parts)]
    edges = [model.Relationship(DOCUMENT, model.RelationshipType.DESCRIBES, PRODUCT)]
    edges += [
        model.Relationship(PRODUCT, model.RelationshipType.CONTAINS, part.spdx_id) for part in packages[1:]
    ]
    creation = model.CreationInfo(
        spdx_version="SPDX-2.3",
        spdx_id=DOCUMENT,
        name=system[0],
        data_license="CC0-1.0",
        document_namespace=namespace(system[0]),
        creators=[model.Actor(model.ActorType.TOOL, f"{ID}-builder-{version}")],
        created=datetime.fromtimestamp(epoch, UTC).replace(tzinfo=None),
    )
    return model.Document(
        creation, packages=packages, relationships=edges, extracted_licensing_info=list(references(parts))
    )


def product(version: str, architecture: str, system: System) -> Package:
    """The product itself, under no licence as a whole."""
    from spdx_tools.spdx import model

    unknown = model.SpdxNoAssertion()
    return model.Package(
        PRODUCT, system[0], unknown, version=version, files_analyzed=False, license_concluded=unknown,
        license_declared=unknown, copyright_text=unknown, summary=f"{system[1]} {version} for {architecture}",
        primary_package_purpose=model.PackagePurpose.OPERATING_SYSTEM,
    )  # fmt: skip


def package(spdx_id: str, part: Part) -> Package:
    """One part."""
    from spdx_tools.spdx import model

    unknown = model.SpdxNoAssertion()
    known = part.licence != NOASSERTION
    digests = [model.Checksum(model.ChecksumAlgorithm.SHA256, part.sha256)] if part.kind == "package" else []
    purl = model.ExternalPackageRef(
        model.ExternalPackageRefCategory.PACKAGE_MANAGER, "purl", package_url(part)
    )
    return model.Package(
        spdx_id, part.name, unknown, version=part.version, files_analyzed=False, checksums=digests,
        source_info=source(part), external_references=[purl], license_concluded=unknown,
        copyright_text=unknown,
        license_declared=licensing().parse(part.licence) if known else unknown,
    )  # fmt: skip


@functools.cache
def licensing() -> Licensing:
    """SPDX' list of licences."""
    from license_expression import get_spdx_licensing

    return get_spdx_licensing()


def package_url(part: Part) -> str:
    """The part's package URL (github.com/package-url/purl-spec)."""
    kind = "golang" if part.kind == "module" else "deb/debian"
    return f"pkg:{kind}/{quote(part.name, safe='/')}@{quote(part.version, safe='')}"


def source(part: Part) -> str:
    """Where it comes from, and what was changed in it."""
    hashed = f", go.sum {part.sha256}" if part.kind == "module" else ""
    patches = f"; changed by {', '.join(part.patches)}" if part.patches else ""
    return f"source: {part.source}{hashed}{patches}"


def ids(parts: Iterable[Part]) -> Iterator[str]:
    """An identifier for each part: letters, digits, dots and dashes (SPDX 2.3, 7.2)."""
    seen: dict[str, int] = {}
    for part in parts:
        plain = re.sub(r"[^A-Za-z0-9.]+", "-", f"{part.kind}-{part.name}-{part.version}")
        seen[plain] = seen.get(plain, 0) + 1
        yield f"SPDXRef-{plain}" + (f"-{seen[plain]}" if seen[plain] > 1 else "")


def references(parts: Iterable[Part]) -> Iterator[ExtractedLicensingInfo]:
    """What the licences are that SPDX' list does not have (SPDX 2.3, 10)."""
    from spdx_tools.spdx import model

    where: dict[str, list[str]] = {}
    for part in parts:
        for name in sorted(set(REFERENCE.findall(part.licence))):
            where.setdefault(name, []).append(part.name)
    for name, packages in sorted(where.items()):
        text = f"See usr/share/doc/PACKAGE/copyright in these packages: {', '.join(sorted(set(packages)))}"
        yield model.ExtractedLicensingInfo(name, text)
