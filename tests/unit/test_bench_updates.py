"""What ./doit bench update compares: each way counts what a node would fetch."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tasks.lib.bench import updates
from tasks.lib.formats.tree import Tree

SAME, SIZE = 400_000, 1_000_000


@pytest.fixture
def images(tmp_path: Path) -> tuple[dict[str, Path], dict[str, Path]]:
    """Two files in two versions: one is the same, the other has ten bytes more in its middle."""
    noise = random.Random(1)
    same, old = noise.randbytes(SAME), noise.randbytes(SIZE)
    content = {"old": (same, old), "new": (same, old[:500_000] + b"ten bytes." + old[500_000:])}
    found = []
    for label, files in content.items():
        (tmp_path / label).mkdir()
        found.append({name: tmp_path / label / name for name in ("vmlinuz", "root.squashfs")})
        for path, data in zip(found[-1].values(), files, strict=True):
            path.write_bytes(data)
    return found[0], found[1]


def test_chunks_follow_the_content_and_blocks_do_not(
    tmp_path: Path, images: tuple[dict[str, Path], dict[str, Path]]
) -> None:
    found = updates.measure(*images, tmp_path)
    ours, zchunk, casync, rauc = found.values()
    for cost in (ours, zchunk):
        assert 0 < cost.fetched <= 3 * 131072
    assert 0 < casync.fetched <= 3 * 262144 * 1.1
    assert 500_000 <= rauc.fetched <= 500_010 + 2 * updates.BLOCK
    assert rauc.index == 32 * (SAME // 4096 + 1 + SIZE // 4096 + 1)
    assert 0 < ours.index < zchunk.index + casync.index + 10_000
    text = updates.describe({"init": found}, SAME + SIZE)
    assert len(text.splitlines()) == 2 + len(updates.WAYS)


def test_nothing_is_fetched_of_what_is_there(
    tmp_path: Path, images: tuple[dict[str, Path], dict[str, Path]]
) -> None:
    found = updates.measure(images[0], images[0], tmp_path)
    assert [cost.fetched for cost in found.values()] == [0, 0, 0, 0]
    assert found["whole files and chunks, as it is"].index == 0


def test_another_package_has_nothing_in_common_with_the_first() -> None:
    tree = Tree()
    for name in ("usr/bin/nft", "usr/lib/libnftables.so.1", "usr/lib/modules/nft_ct.ko", "usr/bin/other"):
        tree.add_file(name, b"0123456789")
    changed = updates.other_package(tree, "nft")
    different = {
        path for path in tree if tree[path].kind == "file" and tree[path].read() != changed[path].read()
    }
    assert different == {"usr/bin/nft", "usr/lib/libnftables.so.1"}
