"""Which machines an image starts is known before it is written to anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.lib.arch import AMD64, ARCHES, ARM64, Arch
from tasks.lib.boot.images import architecture, check_architecture
from tasks.lib.errors import BuildError
from tasks.lib.formats import fat
from tasks.lib.formats.tree import Tree


@pytest.fixture(params=[AMD64, ARM64], ids=["amd64", "arm64"])
def image(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Arch]:
    """A FAT file system with a boot loader, somewhere behind other things, as on a medium."""
    row: Arch = request.param
    tree = Tree()
    tree.add_file(f"EFI/BOOT/{row.efi_file}", b"MZ" * 100)
    esp, path = tmp_path / "efi.img", tmp_path / "image"
    fat.write(tree, esp, epoch=0, volume_id=1, label="EFI", scratch=tmp_path)
    path.write_bytes(b"kernel " * 100_000 + esp.read_bytes())
    return path, row


def test_an_image_tells_for_which_machines_it_is(image: tuple[Path, Arch]) -> None:
    path, row = image
    assert architecture(path) == row.name
    check_architecture(path, row.name)
    (other,) = set(ARCHES) - {row.name}
    with pytest.raises(BuildError, match=f"image starts {row.name} machines, not {other}"):
        check_architecture(path, other)


@pytest.mark.parametrize("content", [b"", b"no boot loader", b"BOOTX64.EFI"])
def test_what_starts_nothing_is_no_image(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "image"
    path.write_bytes(content)
    with pytest.raises(BuildError, match="no image that machines start from"):
        architecture(path)
