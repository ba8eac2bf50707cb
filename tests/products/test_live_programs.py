"""The Live CD's layers, asked by their own programs: all that kubeadm wants is there."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from dodo import LIVE
from tasks import live, livecomponents, liveimages, livekubernetes
from tasks.lib.formats.tree import Tree
from tests.images.layout import read_layout


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The programs and images of the layer, and the files that they read."""
    folder = tmp_path_factory.mktemp("live")
    tree = Tree()
    for layer in live.LAYERS[1:]:
        tree.add_tar(live.layer(LIVE, layer))
    wanted = re.compile(rf"usr/bin/(kubeadm|containerd|crictl)$|etc/|{liveimages.PLACE}/")
    for path, entry in tree.items():
        if entry.kind == "file" and wanted.match(path):
            place = folder / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(entry.read())
            place.chmod(entry.mode)
    yield folder
    for archive in (folder / liveimages.PLACE).iterdir():
        archive.unlink()


def said(root: Path, program: str, *words: str) -> str:
    """What a program of the layer prints."""
    done = subprocess.run(
        [root / "usr/bin" / program, *words],
        env={"PATH": os.environ["PATH"], "HOME": str(root)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_kubeadm_takes_its_configuration(root: Path) -> None:
    said(root, "kubeadm", "config", "validate", "--config", str(root / livekubernetes.KUBEADM))


def test_every_image_that_kubeadm_wants_is_there(root: Path) -> None:
    """With the shipped configuration, and without any."""
    about = json.loads(liveimages.names(LIVE).read_text())
    listed = said(root, "kubeadm", "config", "images", "list", "--config", str(root / livekubernetes.KUBEADM))
    plain = said(root, "kubeadm", "config", "images", "list", "--kubernetes-version", about["version"])
    assert sorted(listed.split()) == sorted(plain.split()) == sorted(about["images"].values())
    archives = {line.split()[1] for line in (root / liveimages.PLACE / "digests").read_text().splitlines()}
    layouts = [read_layout(root / liveimages.PLACE / name) for name in sorted(archives)]
    assert sorted(layout.name for layout in layouts) == sorted(about["images"].values())
    assert [layout.problems() for layout in layouts] == [[]] * len(layouts)


def test_containerd_reads_its_configuration(root: Path) -> None:
    text = (
        (root / "etc/containerd/config.toml").read_text().replace("/etc/containerd", f"{root}/etc/containerd")
    )
    (root / "config.toml").write_text(text)
    config = tomllib.loads(said(root, "containerd", "--config", str(root / "config.toml"), "config", "dump"))
    plugins = config["plugins"]
    runtime = plugins["io.containerd.cri.v1.runtime"]["containerd"]
    assert runtime["default_runtime_name"] == "crun"
    assert runtime["runtimes"]["crun"]["options"]["SystemdCgroup"] is True
    about = json.loads(liveimages.names(LIVE).read_text())
    pinned = plugins["io.containerd.cri.v1.images"]["pinned_images"]
    assert pinned["sandbox"] == about["images"]["pause"]


def test_programs_say_their_versions(root: Path) -> None:
    about = json.loads(liveimages.names(LIVE).read_text())
    assert said(root, "kubeadm", "version", "-o", "short").strip() == about["version"]
    assert livecomponents.CRICTL in said(root, "crictl", "--version")
