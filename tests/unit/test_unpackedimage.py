"""Images as they lie on the node: what the payload's package shipped expects."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tasks.lib.errors import BuildError
from tasks.lib.formats import oci
from tasks.lib.formats.tree import Tree
from tasks.lib.formats.unpackedimage import unpacked

NAME = "kubesolo.io/pause:1"


def archive(folder: Path) -> tuple[Path, str]:
    """An image's archive, and its manifest's digest."""
    tree = Tree()
    tree.add_file("bin/pause", "program", 0o755)
    out = folder / "pause.tar"
    return out, oci.write_archive(oci.Image(NAME, tree, ("/bin/pause",)), out, 1, folder)


def test_files_lie_beside_what_describes_them(tmp_path: Path) -> None:
    path, digest = archive(tmp_path)
    tree = unpacked(path, tmp_path)
    top = digest.removeprefix("sha256:")
    assert tree[f"{top}/root/bin/pause"].mode == 0o755
    assert tree[f"{top}/root/bin/pause"].read() == b"program"
    index = json.loads(tree[f"{top}/index.json"].read())
    assert index["manifests"][0]["digest"] == digest
    assert index["manifests"][0]["annotations"]["io.containerd.image.name"] == NAME
    manifest = json.loads(tree[f"{top}/manifest.json"].read())
    config = json.loads(tree[f"{top}/config.json"].read())
    assert config["rootfs"]["diff_ids"] == [manifest["layers"][0]["digest"]]


def test_what_is_no_archive_of_one_image_is_refused(tmp_path: Path) -> None:
    tree = Tree()
    tree.add_file("etc/passwd", "root")
    tree.write_tar(tmp_path / "other.tar", 1)
    with pytest.raises(BuildError, match=r"other\.tar: has no index\.json"):
        unpacked(tmp_path / "other.tar", tmp_path)
