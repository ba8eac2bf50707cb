"""./doit airgap-bundle: images of a real registry and of archives, in one archive that says what it holds."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tasks.commands.airgap_bundle import title_of
from tasks.lib.airgap.bundle import Layout, Options
from tasks.lib.airgap.names import full_name
from tasks.lib.debian import tools
from tasks.lib.engine.command import Command
from tasks.lib.engine.command import command as engine_command
from tasks.lib.errors import BuildError
from tasks.lib.formats import oci
from tasks.lib.formats.tree import Tree
from tasks.lib.process import run
from tests.unit.registry import push, registry

EPOCH = 1
AMD64 = Options("amd64", insecure=True)


def image(folder: Path, name: str, text: str = "") -> Path:
    """An OCI archive with one image."""
    tree = Tree()
    tree.add_file("words", text or name)
    out = folder / f"{hashlib.sha256(name.encode()).hexdigest()[:8]}.tar"
    oci.write_archive(oci.Image(name, tree, ("/words",)), out, EPOCH, folder)
    return out


def saved(folder: Path, archive: Path, name: str) -> Path:
    """The same as `docker save` writes it."""
    out = folder / "saved.tar"
    skopeo = [*tools.command("skopeo", "skopeo"), "copy", "--quiet", "--insecure-policy"]
    run([*skopeo, f"oci-archive:{archive}", f"docker-archive:{out}:{name}"])
    return out


def read(archive: Path) -> dict[str, Any]:
    """The members by name; every blob is what its name says."""
    with tarfile.open(archive, "r:") as tar:
        found = {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]
    for name, data in found.items():
        if name.startswith("blobs/"):
            assert name == f"blobs/sha256/{hashlib.sha256(data).hexdigest()}"
    return found


def contents(archive: Path) -> dict[str, str]:
    """The names of the images, and the words in each."""
    members, found = read(archive), {}
    for entry in json.loads(members["index.json"])["manifests"]:
        manifest = json.loads(members["blobs/" + entry["digest"].replace(":", "/")])
        data = members["blobs/" + manifest["layers"][0]["digest"].replace(":", "/")]
        data = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
        with tarfile.open(fileobj=io.BytesIO(data)) as layer:
            words = layer.extractfile("words")
            assert words
            found[entry["annotations"]["io.containerd.image.name"]] = words.read().decode()
    return found


@pytest.mark.parametrize(
    ("given", "full"),
    [
        ("nginx", "docker.io/library/nginx:latest"),
        ("portainer/agent:2.33", "docker.io/portainer/agent:2.33"),
        ("localhost/a/b", "localhost/a/b:latest"),
        ("10.0.0.1:5000/a", "10.0.0.1:5000/a:latest"),
        ("reg.example/a/b_c:1@sha256:" + "0" * 64, "reg.example/a/b_c@sha256:" + "0" * 64),
    ],
)
def test_names_are_those_of_containerd(given: str, full: str) -> None:
    assert full_name(given) == full


@pytest.mark.parametrize("given", ["", "Nginx", "a b", "no/such/file.TAR", "nginx:", "-x", "a//b"])
def test_what_is_no_name_is_refused(given: str) -> None:
    with pytest.raises(BuildError, match="neither a file nor the name of an image"):
        full_name(given)


def test_a_registry_and_every_kind_of_archive_come_together(tmp_path: Path) -> None:
    one, two, three = (
        image(tmp_path, name) for name in ("h.example/one:1", "h.example/two:2", "h.example/three:3")
    )
    packed = tmp_path / "packed.tar.zst"
    run([*tools.command("zstd"), "-q", three, "-o", packed])
    with registry(tmp_path / "registry") as host:
        push(one, f"{host}/deep/one:1")
        layout = Layout(tmp_path / "work")
        layout.pull(f"docker://{host}/deep/one:1", f"{host}/deep/one:1", AMD64)
        layout.take(saved(tmp_path, two, "two:2"), AMD64)
        layout.take(packed, AMD64)
    layout.write(tmp_path / "out.tar", EPOCH)
    assert contents(tmp_path / "out.tar") == {
        f"{host}/deep/one:1": "h.example/one:1",
        "docker.io/library/two:2": "h.example/two:2",
        "h.example/three:3": "h.example/three:3",
    }
    with tarfile.open(tmp_path / "out.tar") as tar:
        assert tar.getnames()[:2] == ["oci-layout", "index.json"], "the names come first"


def test_the_same_images_make_the_same_bytes(tmp_path: Path) -> None:
    archive, made = image(tmp_path, "h.example/one:1"), []
    for number in range(2):
        layout = Layout(tmp_path / f"work-{number}")
        layout.take(archive, AMD64)
        layout.write(tmp_path / "out.tar", EPOCH)
        made.append((tmp_path / "out.tar").read_bytes())
    assert made[0] == made[1]


def test_what_is_wrong_is_said_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.lib.paths.OUTPUT", tmp_path / "output")
    good = image(tmp_path, "h.example/one:1")
    damaged = tmp_path / "damaged.tar"
    damaged.write_bytes(good.read_bytes().replace(b"h.example/one:1\0", b"H.example/one:1\0"))
    words = tmp_path / "words.tar"
    words.write_text("no archive" * 100)
    cut = tmp_path / "cut.tar.gz"
    cut.write_bytes(gzip.compress(good.read_bytes())[:400])
    for arguments, message in (
        ([], "needs an image or a file"),
        ([str(good), str(good)], "h.example/one:1: is there twice"),
        ([str(damaged)], "is damaged"),
        ([str(words)], "words.tar: "),
        ([str(cut)], "cut.tar.gz: "),
        ([str(tmp_path / "gone.tar")], "neither a file nor the name"),
        (["--name=../x", str(good)], "can not be part of a file's name"),
        (["--arch=sparc", str(good)], "no node is of sparc"),
        (["127.0.0.1:1/nothing:1"], "is the name right"),
    ):
        with pytest.raises(BuildError) as caught:
            command().parse_execute(arguments)
        assert message in f"{caught.value} {caught.value.hint}"
        assert list((tmp_path / "output").glob("*")) == []


def test_the_command_writes_archive_and_checksum(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "output"
    monkeypatch.setattr("tasks.lib.paths.OUTPUT", output)
    assert command().parse_execute([str(image(tmp_path, "h.example/one:1")), "--name", "plant"]) == 0
    made = output / "airgap-plant.tar"
    digest = hashlib.sha256(made.read_bytes()).hexdigest()
    assert (output / "airgap-plant.tar.sha256").read_text() == f"{digest}  airgap-plant.tar\n"
    assert sorted(path.name for path in output.iterdir()) == ["airgap-plant.tar", "airgap-plant.tar.sha256"]
    assert "h.example/one:1" in capsys.readouterr().out


def command() -> Command:
    return engine_command("airgap-bundle")


@pytest.mark.parametrize(
    ("word", "title"), [("docker.io/a/nginx:1", "nginx"), ("x/images.tar.gz", "images"), ("a@sha256:0", "a")]
)
def test_titles(word: str, title: str) -> None:
    assert title_of(word) == title
