import hashlib
import json
import os
import tarfile
import time
from pathlib import Path
from typing import Any

import pytest

from tasks.lib.errors import BuildError
from tasks.lib.formats import oci
from tasks.lib.formats.tree import Tree
from tests.images.layout import Layout, read_layout

EPOCH = 1_795_219_200
NAME = "kubesolo.io/test/hello:1.2.3"


def hello(name: str = NAME) -> oci.Image:
    tree = Tree()
    tree.add_file("bin/hello", b"\x7fELF", 0o755)
    tree.add_symlink("usr/bin/hello", "../../bin/hello")
    return oci.Image(
        name,
        tree,
        ("/bin/hello", "-v"),
        user="65535:65535",
        environment={"B": "2", "A": "1"},
        ports=("80/tcp",),
        annotations={"org.opencontainers.image.licenses": "MIT"},
    )


def write(folder: Path, image: oci.Image | None = None) -> Path:
    folder.mkdir(exist_ok=True)
    scratch = folder / "scratch"
    scratch.mkdir()
    out = folder / "image.tar"
    oci.write_archive(image or hello(), out, EPOCH, scratch)
    return out


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return read_layout(write(tmp_path))


def test_every_descriptor_tells_the_truth(layout: Layout) -> None:
    assert layout.problems() == []


def test_a_changed_byte_is_a_problem(tmp_path: Path) -> None:
    archive = write(tmp_path)
    layer = read_layout(archive).manifest["layers"][0]["digest"].removeprefix("sha256:")
    with tarfile.open(archive) as tar:
        offset = tar.getmember(f"blobs/sha256/{layer}").offset_data
    with archive.open("r+b") as stream:
        stream.seek(offset + 3)
        stream.write(b"X")
    assert read_layout(archive).problems() == [f"blob sha256:{layer} has other bytes"]


def test_the_index_names_the_image_for_containerd_and_for_others(layout: Layout) -> None:
    (entry,) = layout.index["manifests"]
    assert entry["annotations"] == {
        "io.containerd.image.name": NAME,
        "org.opencontainers.image.ref.name": "1.2.3",
    }
    assert entry["platform"] == {"architecture": "amd64", "os": "linux"}


def test_media_types_are_the_specification_s(layout: Layout) -> None:
    assert layout.index["mediaType"] == "application/vnd.oci.image.index.v1+json"
    assert layout.index["manifests"][0]["mediaType"] == "application/vnd.oci.image.manifest.v1+json"
    assert layout.manifest["mediaType"] == "application/vnd.oci.image.manifest.v1+json"
    assert layout.manifest["config"]["mediaType"] == "application/vnd.oci.image.config.v1+json"
    assert layout.manifest["layers"][0]["mediaType"] == "application/vnd.oci.image.layer.v1.tar"


def test_the_configuration_says_how_to_run(layout: Layout) -> None:
    assert layout.config["config"] == {
        "User": "65535:65535",
        "Entrypoint": ["/bin/hello", "-v"],
        "Env": ["A=1", "B=2"],
        "ExposedPorts": {"80/tcp": {}},
        "WorkingDir": "/",
    }
    assert layout.config["created"] == "2026-11-21T00:00:00Z"
    assert (layout.config["os"], layout.config["architecture"]) == ("linux", "amd64")


def test_annotations_stand_in_the_manifest(layout: Layout) -> None:
    assert layout.manifest["annotations"] == {
        "org.opencontainers.image.version": "1.2.3",
        "org.opencontainers.image.licenses": "MIT",
    }


def test_the_layer_holds_the_tree(layout: Layout) -> None:
    with layout.layer() as tar:
        modes = {member.name: member.mode for member in tar}
        assert tar.getmember("usr/bin/hello").linkname == "../../bin/hello"
    assert modes["bin/hello"] == 0o755


def test_name_and_digest_come_first(tmp_path: Path) -> None:
    with tarfile.open(write(tmp_path)) as tar:
        assert tar.getnames()[:2] == ["oci-layout", "index.json"]


def test_the_digest_is_the_manifest_s(tmp_path: Path) -> None:
    digest = oci.write_archive(hello(), tmp_path / "image.tar", EPOCH, tmp_path)
    assert read_layout(tmp_path / "image.tar").index["manifests"][0]["digest"] == digest


def test_same_input_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = write(tmp_path / "first")
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    old = os.umask(0o077)
    try:
        second = write(tmp_path / "second")
    finally:
        os.umask(old)
        monkeypatch.undo()
        time.tzset()
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize(
    "name", ["hello", "hello:1", "kubesolo.io/hello", "kubesolo.io/Hello:1", "a.b/c:1+b2"]
)
def test_a_name_that_is_no_full_reference_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BuildError, match="not a full image reference"):
        write(tmp_path, hello(name))


def test_json_is_canonical() -> None:
    value: dict[str, Any] = {"b": [1, "ü"], "a": None}
    assert oci.to_json(value) == '{"a":null,"b":[1,"ü"]}'.encode()
    assert json.loads(oci.to_json(value)) == value
    blob = oci.json_blob("x/y", value)
    assert blob.descriptor["digest"] == "sha256:" + hashlib.sha256(oci.to_json(value)).hexdigest()


def test_a_renamed_image_is_the_same_image(tmp_path: Path) -> None:
    archive = write(tmp_path / "a")
    before = read_layout(archive)
    oci.rename(archive, "registry.example/other/hello:v2", tmp_path / "b.tar", EPOCH)
    after = read_layout(tmp_path / "b.tar")
    assert after.problems() == []
    assert after.index["manifests"][0]["digest"] == before.index["manifests"][0]["digest"]
    assert after.index["manifests"][0]["annotations"] == {
        oci.CONTAINERD_NAME: "registry.example/other/hello:v2",
        oci.REF_NAME: "v2",
    }
    with pytest.raises(BuildError, match="not a full image reference"):
        oci.rename(archive, "hello", tmp_path / "c.tar", EPOCH)
