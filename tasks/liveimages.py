"""The images of the control plane, under the names that this kubeadm looks for, as OCI archives."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tasks import addons, live, livecomponents, liverootfs
from tasks.lib.engine import Build, artifact
from tasks.lib.errors import BuildError
from tasks.lib.formats import elf, oci
from tasks.lib.formats.tree import Tree
from tasks.lib.process import run
from tasks.lib.release.manifest import digest
from tasks.lib.target import Target

PLACE = "usr/share/k8s-livecd/images"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# What kube-proxy starts to write rules.
NFT = "usr/sbin/nft"
# Where its libraries are looked for.
MERGED = {"bin": "usr/bin", "sbin": "usr/sbin", "lib": "usr/lib", "lib64": "usr/lib64"}
# Of other makers, from the payload's images.
TAKEN = ("coredns", "pause")
LICENCES = "org.opencontainers.image.licenses"


@dataclass(frozen=True)
class Wanted:
    """What kubeadm says: its version, and the full references of its images by their last names."""

    version: str
    references: Mapping[str, str]


def asked(kubeadm: Path) -> Wanted:
    """Ask kubeadm which images it would start; without network, as the version is given.

    Raises BuildError when it wants another set of images than those that are made here.
    """
    version = run([kubeadm, "version", "-o", "short"]).stdout.decode().strip()
    words = ["config", "images", "list", "--kubernetes-version", version]
    listed = run([kubeadm, *words]).stdout.decode().split()
    found = {reference.rpartition("/")[2].partition(":")[0]: reference for reference in listed}
    made = {*livecomponents.CONTROL_PLANE, *TAKEN}
    if set(found) != made:
        raise BuildError(
            f"kubeadm {version} wants the images {', '.join(sorted(found))}; "
            f"{', '.join(sorted(made))} are made"
        )
    return Wanted(version, found)


def control_plane_image(reference: str, programs: Tree, name: str, architecture: str) -> oci.Image:
    """A program as an image; kubeadm names the program in what it starts."""
    programs.add_dir("tmp", 0o1777)
    return oci.Image(
        reference,
        programs,
        (f"/{livecomponents.IMAGE_BIN}/{name}",),
        environment={"PATH": PATH},
        annotations={LICENCES: "Apache-2.0"},
        architecture=architecture,
    )


def add_nft(tree: Tree, debian: Path, libraries: str) -> None:
    """nft with the libraries that it needs, from the root's packages."""
    root = Tree()
    root.add_tar(debian)
    for link, folder in MERGED.items():
        tree.add_dir(folder)
        tree.add_symlink(link, folder)
    needed = elf.closure(root, [NFT], (libraries,))
    tree.add_tree(root.only({path for path in needed if path not in MERGED}.__contains__))


def build(archives: tuple[tuple[str, Path], ...], debian: Path, arch: tuple[str, str], b: Build) -> None:
    """Write the archives, and what kubeadm and containerd have to be told.

    archives: of components, by name; those of TAKEN are images already. arch: name and library folder.
    """
    found = dict(archives)
    kubeadm = b.scratch / "kubeadm"
    write_program(found["kubeadm"], f"{livecomponents.BIN}/kubeadm", kubeadm)
    wanted, tree, rows = asked(kubeadm), Tree(), []
    for name, reference in sorted(wanted.references.items()):
        out = b.scratch / f"{name}.tar"
        b.note(f"image {reference}")
        if name in TAKEN:
            oci.rename(found[name], reference, out, b.epoch)
        else:
            programs = Tree()
            programs.add_tar(found[name])
            if name == "kube-proxy":
                add_nft(programs, debian, arch[1])
            oci.write_archive(
                control_plane_image(reference, programs, name, arch[0]), out, b.epoch, b.scratch
            )
        tree.add_file(f"{PLACE}/{out.name}", out)
        rows.append(f"{digest(out)} {out.name}\n")
    tree.add_file(f"{PLACE}/digests", "".join(rows))
    tree.write_tar(b.outs[0], b.epoch)
    b.outs[1].write_text(
        json.dumps({"version": wanted.version, "images": dict(wanted.references)}, indent=1) + "\n"
    )


def write_program(tar: Path, path: str, out: Path) -> None:
    """Take one program out of a tar."""
    tree = Tree()
    tree.add_tar(tar)
    out.write_bytes(tree[path].read())
    out.chmod(0o755)


def archive(target: Target) -> Path:
    """The tar of the images."""
    return live.folder(target) / "images.tar"


def names(target: Target) -> Path:
    """What they are called, and kubeadm's version, as JSON."""
    return live.folder(target) / "images.json"


def tasks(target: Target) -> Iterator[dict[str, object]]:
    """The images."""
    archives = {
        name: livecomponents.archive(target, name) for name in ("kubeadm", *livecomponents.CONTROL_PLANE)
    }
    archives |= {"coredns": addons.coredns(target), "pause": addons.pause(target)}
    debian = liverootfs.debian(target)
    yield artifact(
        target.task("live-images"),
        doc="Live CD: images of the control plane",
        build=partial(build, tuple(archives.items()), debian, (target.arch.name, target.arch.libraries)),
        targets=[archive(target), names(target)],
        files=[*archives.values(), debian],
        values={"epoch": target.epoch},
        group=target.group,
    )
