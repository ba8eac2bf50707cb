"""The Live CD's Kubernetes layer, the layer of our own files, and the root that has all of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tasks import live, livecomponents, liveimages, liverootfs
from tasks.lib.engine import Build, artifact
from tasks.lib.engine.spec import relative
from tasks.lib.formats.tree import Tree
from tasks.lib.paths import TOP
from tasks.lib.target import Target

# Lowest first: of the root, of its Kubernetes layer, of what live-vm asks for.
FOLDERS = (liverootfs.FILES, TOP / "live" / "kubernetes", TOP / "live" / "overlay")
KUBEADM = "etc/kubernetes/kubeadm.yaml"
VERSION_MARK = b"@KUBERNETES@"
PAUSE = "etc/containerd/conf.d/pause.toml"
PINNED = "plugins.'io.containerd.cri.v1.images'.pinned_images"


def build_kubernetes(archives: tuple[Path, ...], b: Build) -> None:
    """Join programs and images."""
    liverootfs.joined(archives, ()).write_tar(b.out, b.epoch)


def config(names: Path) -> Tree:
    """Our files, with what they say about versions.

    names: what liveimages says of kubeadm and of the images.
    """
    about = json.loads(names.read_text())
    tree = liverootfs.joined((), [folder for folder in FOLDERS if folder.is_dir()])
    text = tree[KUBEADM].read().replace(VERSION_MARK, about["version"].encode())
    tree.add_file(KUBEADM, text)
    pause = json.dumps(about["images"]["pause"])
    tree.add_file(PAUSE, f"version = 3\n\n[{PINNED}]\nsandbox = {pause}\n")
    return tree


def build_config(names: Path, b: Build) -> None:
    """The layer that is edited most."""
    config(names).write_tar(b.out, b.epoch)


def build_rootfs(layers: tuple[Path, ...], b: Build) -> None:
    """The whole root."""
    tar = b.scratch / "rootfs.tar"
    liverootfs.joined(layers, ()).write_tar(tar, b.epoch)
    liverootfs.pack(tar, b.out)


def tasks(target: Target) -> Iterator[dict[str, object]]:
    """The third layer, our files, and what is handed out."""
    archives = (
        *(livecomponents.archive(target, name) for name in livecomponents.NODE),
        liveimages.archive(target),
    )
    layers = tuple(live.layer(target, name) for name in live.LAYERS)
    made, names = liverootfs.output(target, "rootfs-k8s.tar.gz"), liveimages.names(target)
    yield artifact(
        target.task("live-kubernetes-layer"),
        doc="Live CD: Kubernetes' programs and images",
        build=partial(build_kubernetes, archives),
        targets=[layers[1]],
        files=archives,
        values={"epoch": target.epoch},
        group=target.group,
    )
    yield artifact(
        target.task("live-config"),
        doc="Live CD: units and settings",
        build=partial(build_config, names),
        targets=[layers[2]],
        files=[names],
        trees=[folder for folder in FOLDERS if folder.is_dir()],
        values={"epoch": target.epoch},
        group=target.group,
    )
    yield artifact(
        target.task("live-kubernetes"),
        doc=f"{relative(made)}: the same with kubeadm, containerd and the images of a control plane",
        build=partial(build_rootfs, layers),
        targets=[made],
        files=layers,
        values={"epoch": target.epoch},
        group="products",
    )
