import json
from pathlib import Path

import pytest

from tasks.lib.debian.licences import package_parts, summary
from tasks.lib.debian.lockfile import Package
from tasks.lib.errors import BuildError
from tasks.lib.process import run
from tasks.lib.provider import NOASSERTION, Part, parts_text, read_parts
from tasks.lib.release.manifest import checksums, file_name, manifest, os_release
from tests.unit.targets import STUB, TARGET
from tests.unit.test_userland import make_deb, member

EPOCH = 1_700_000_000
PART = Part("nftables", "package", "1.1", "nftables", "ab" * 32, "GPL-2.0-only", ("nftables/0001-x.patch",))


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
    other = Part("zlib1g", "package", "1", "zlib", "cd" * 32, "Zlib")
    text = manifest("a.iso", "0.1.0", "amd64", EPOCH, (5, "ef" * 32), [other, PART])
    assert text == manifest("a.iso", "0.1.0", "amd64", EPOCH, (5, "ef" * 32), [PART, other])
    found = json.loads(text)
    assert found["created"] == "2023-11-14T22:13:20Z"
    assert found["file"]["name"] == "a.iso"
    assert found["file"]["size"] == 5
    assert [part["name"] for part in found["parts"]] == ["nftables", "zlib1g"]
    assert set(found["parts"][0]) == {"name", "kind", "version", "source", "sha256", "licence", "patches"}


def test_parts_are_handed_on(tmp_path: Path) -> None:
    (tmp_path / "x.parts.json").write_text(parts_text([PART]))
    assert read_parts(tmp_path / "x.parts.json") == [PART]


def test_products_are_named_by_version_and_architecture() -> None:
    assert file_name(TARGET, "iso") == "kubesolo-os-0.0.0-amd64.iso"
    assert file_name(STUB, "iso") == "kubesolo-os-stub-0.0.0-amd64.iso"


HEAD = "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n"


@pytest.mark.parametrize(
    ("licences", "expected"),
    [
        (["Expat", "GPL-2+"], "MIT AND GPL-2.0-or-later"),
        (["GPL-2 or BSD-3-clause", "Expat"], "MIT AND (GPL-2.0-only OR BSD-3-Clause)"),
        (["GPL-1+ or Artistic, and Expat"], "(GPL-1.0-or-later OR Artistic-1.0) AND MIT"),
        (["LGPL-2.1"], "LGPL-2.1-only"),
        (["public-domain"], "LicenseRef-Debian-public-domain"),
        (["GPL-3+ with Bison exception"], "LicenseRef-Debian-GPL-3-or-later-with-Bison-exception"),
    ],
)
def test_machine_readable_copyright_files_are_summed_up(licences: list[str], expected: str) -> None:
    files = [f"Files: {place}/*\nCopyright: x\nLicense: {name}\n text" for place, name in enumerate(licences)]
    assert sorted(summary("\n\n".join([HEAD, *files])).split()) == sorted(expected.split())


@pytest.mark.parametrize(
    "text", ["The text is in /usr/share/common-licenses/GPL-2.\n", "Do what you like.\n", ""]
)
def test_prose_is_not_guessed_at(text: str) -> None:
    assert summary(text) == NOASSERTION


MIT = f"{HEAD}\nFiles: *\nCopyright: x\nLicense: MIT\n".encode()


def package(name: str, source: str) -> Package:
    return Package(name, "1", "amd64", source, "main", f"pool/{name}.deb", 1, "ef" * 32)


def test_a_package_without_its_own_copyright_file_has_that_of_the_one_it_links_to(tmp_path: Path) -> None:
    library = make_deb(tmp_path / "l.deb", [member("./usr/share/doc/libx/copyright", MIT)])
    program = make_deb(tmp_path / "p.deb", [member("./usr/share/doc/x", link="libx")])
    fetched = [(package("x", "x"), program), (package("libx", "x"), library)]
    assert [(part.name, part.licence) for part in package_parts(fetched, ["x"])] == [("x", "MIT")]


def test_a_package_without_any_copyright_file_is_named(tmp_path: Path) -> None:
    deb = make_deb(tmp_path / "p.deb", [member("./usr/bin/x", b"x")])
    with pytest.raises(BuildError, match="without a copyright file: x"):
        package_parts([(package("x", "x"), deb)], ["x"])
