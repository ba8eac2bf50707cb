import json
from pathlib import Path

import pytest

from tasks.lib.debian.licences import UNKNOWN, package_parts, summary
from tasks.lib.debian.lockfile import Package
from tasks.lib.errors import BuildError
from tasks.lib.process import run
from tasks.lib.provider import Part, parts_text, read_parts
from tasks.lib.release.manifest import checksums, file_name, manifest, os_release
from tests.unit.targets import STUB, TARGET
from tests.unit.test_userland import make_deb, member

EPOCH = 1_700_000_000
PART = Part("nftables", "package", "1.1", "nftables", "ab" * 32, "GPL-2")


def test_os_release_is_read_by_a_shell(tmp_path: Path) -> None:
    (tmp_path / "os-release").write_text(os_release("0.1.0", EPOCH, "amd64"))
    script = f'. {tmp_path}/os-release; echo "$ID|$VERSION_ID|$PRETTY_NAME|$BUILD_EPOCH"'
    assert run(["sh", "-c", script]).stdout.decode() == f"kubesolo-os|0.1.0|KubeSolo OS 0.1.0|{EPOCH}\n"


def test_checksums_are_what_sha256sum_checks(tmp_path: Path) -> None:
    (tmp_path / "temporary").write_bytes(b"iso")
    sums = checksums([("a.iso", tmp_path / "temporary")])
    (tmp_path / "temporary").rename(tmp_path / "a.iso")
    (tmp_path / "SHA256SUMS").write_text(sums)
    run(["sha256sum", "-c", "SHA256SUMS"], cwd=tmp_path)
    (tmp_path / "a.iso").write_bytes(b"is0")
    with pytest.raises(BuildError):
        run(["sha256sum", "-c", "SHA256SUMS"], cwd=tmp_path)


def test_manifest_lists_parts_in_a_fixed_order(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"image")
    other = Part("zlib1g", "package", "1", "zlib", "cd" * 32, "Zlib")
    text = manifest("a.iso", "0.1.0", "amd64", EPOCH, tmp_path / "x", [other, PART])
    assert text == manifest("a.iso", "0.1.0", "amd64", EPOCH, tmp_path / "x", [PART, other])
    found = json.loads(text)
    assert found["created"] == "2023-11-14T22:13:20Z"
    assert found["file"]["name"] == "a.iso"
    assert found["file"]["size"] == 5
    assert [part["name"] for part in found["parts"]] == ["nftables", "zlib1g"]
    assert set(found["parts"][0]) == {"name", "kind", "version", "source", "sha256", "licence"}


def test_parts_are_handed_on(tmp_path: Path) -> None:
    (tmp_path / "x.parts.json").write_text(parts_text([PART]))
    assert read_parts(tmp_path / "x.parts.json") == [PART]


def test_products_are_named_by_version_and_architecture() -> None:
    assert file_name(TARGET, "iso") == "kubesolo-os-0.0.0-amd64.iso"
    assert file_name(STUB, "iso") == "kubesolo-os-stub-0.0.0-amd64.iso"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Files: *\nLicense: MIT\n\nLicense:  GPL-2+  \n text\n", "GPL-2+ AND MIT"),
        ("License: BSD-3-clause or GPL-2\nLicense: MIT\n", "(BSD-3-clause or GPL-2) AND MIT"),
        ("The text is in /usr/share/common-licenses/GPL-2.\n", "GPL-2"),
        ("Do what you like.\n", UNKNOWN),
    ],
)
def test_licences_are_summed_up(text: str, expected: str) -> None:
    assert summary(text) == expected


def package(name: str, source: str) -> Package:
    return Package(name, "1", "amd64", source, "main", f"pool/{name}.deb", 1, "ef" * 32)


def test_a_package_without_its_own_copyright_file_has_that_of_the_one_it_links_to(tmp_path: Path) -> None:
    library = make_deb(tmp_path / "l.deb", [member("./usr/share/doc/libx/copyright", b"License: MIT\n")])
    program = make_deb(tmp_path / "p.deb", [member("./usr/share/doc/x", link="libx")])
    fetched = [(package("x", "x"), program), (package("libx", "x"), library)]
    assert [(part.name, part.licence) for part in package_parts(fetched, ["x"])] == [("x", "MIT")]


def test_a_package_without_any_copyright_file_is_named(tmp_path: Path) -> None:
    deb = make_deb(tmp_path / "p.deb", [member("./usr/bin/x", b"x")])
    with pytest.raises(BuildError, match="without a copyright file: x"):
        package_parts([(package("x", "x"), deb)], ["x"])
