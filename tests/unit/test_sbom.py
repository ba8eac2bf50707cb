"""SPDX documents: what SPDX' own library says about them."""

import json
from pathlib import Path

from spdx_tools.spdx.parser.parse_anything import parse_file
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

from tasks.lib.provider import NOASSERTION, Part
from tasks.lib.release import sbom

EPOCH = 1_700_000_000
PARTS = [
    Part("libstdc++6", "package", "1:14.2-1+b1", "gcc-14", "ab" * 32, NOASSERTION),
    Part("nftables", "package", "1.1", "nftables", "cd" * 32, "GPL-2.0-only AND LicenseRef-Debian-odd"),
    Part("golang.org/x/net", "module", "v0.1.0", "golang.org/x/net@v0.1.0", "ef" * 32, "BSD-3-Clause"),
    Part(
        "k8s.io/kubectl",
        "module",
        "v0.36.3",
        "k8s.io/kubectl@v0.36.3",
        "01" * 32,
        "Apache-2.0",
        ("x/1.patch",),
    ),
]


def document(parts: list[Part] = PARTS) -> str:
    return sbom.completed(sbom.template(parts, "0.1.0", "amd64", EPOCH), "a.iso", "12" * 32)


def test_spdx_own_library_finds_nothing_wrong(tmp_path: Path) -> None:
    (tmp_path / "a.iso.spdx.json").write_text(document())
    read = parse_file(str(tmp_path / "a.iso.spdx.json"))
    assert validate_full_spdx_document(read) == []
    assert {package.name for package in read.packages} == {"kubesolo-os", *(part.name for part in PARTS)}


def test_what_is_not_known_is_not_asserted() -> None:
    found = {package["name"]: package for package in json.loads(document())["packages"]}
    assert found["libstdc++6"]["licenseDeclared"] == NOASSERTION
    assert found["nftables"]["licenseDeclared"] == "GPL-2.0-only AND LicenseRef-Debian-odd"
    assert found["kubesolo-os"]["checksums"] == [{"algorithm": "SHA256", "checksumValue": "12" * 32}]
    assert "checksums" not in found["golang.org/x/net"], "a module's hash is not that of a file"
    assert "x/1.patch" in found["k8s.io/kubectl"]["sourceInfo"]
    purl = found["libstdc++6"]["externalRefs"][0]["referenceLocator"]
    assert purl == "pkg:deb/debian/libstdc%2B%2B6@1%3A14.2-1%2Bb1"


def test_the_same_parts_give_the_same_document() -> None:
    assert document() == document()
    assert json.loads(document())["creationInfo"]["created"] == "2023-11-14T22:13:20Z"
    assert len(set(sbom.ids([PARTS[0], PARTS[0]]))) == 2
