"""Images that every node holds, so that nothing is pulled: CoreDNS and the pause container of pods."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tasks import payload
from tasks.lib.arch import Arch
from tasks.lib.debian import tools
from tasks.lib.debian.lockfile import keyed
from tasks.lib.engine import Build, artifact
from tasks.lib.errors import BuildError
from tasks.lib.formats import elf, oci
from tasks.lib.formats.tree import Tree
from tasks.lib.go.program import Program, compile_program
from tasks.lib.paths import TOP
from tasks.lib.release.imagenames import VERSIONS, reference, versions
from tasks.lib.target import Target
from tasks.sources import listing

COREDNS_SOURCE = TOP / "payload" / "images" / "coredns"
# Without this tag gRPC brings html/template, which doubles the program: see exporter-toolkit/web/web.go.
PROGRAM = Program(tags=("grpcnotrace",))


def build_coredns(arch: Arch, b: Build) -> None:
    """Compile CoreDNS and wrap it as an image."""
    check_coredns_version(COREDNS_SOURCE / "go.mod", versions()["coredns"])
    program = b.scratch / "coredns"
    compile_program(COREDNS_SOURCE, PROGRAM, program, arch.go, b.progress)
    tree = Tree()
    tree.add_file("coredns", program, 0o755)
    image = oci.Image(
        reference("coredns"),
        tree,
        ("/coredns",),
        user="65532:65532",
        ports=("53/tcp", "53/udp"),
        annotations={"org.opencontainers.image.licenses": "Apache-2.0"},
        architecture=arch.name,
    )
    oci.write_archive(image, b.out, b.epoch, b.scratch)


def check_coredns_version(go_mod: Path, version: str) -> None:
    """Refuse to call the image something else than what go.mod builds.

    Raises BuildError.
    """
    found = re.search(r"^require github\.com/coredns/coredns v(\S+)$", go_mod.read_text(), re.MULTILINE)
    if found is None or found[1] != version:
        built = found[1] if found else "nothing"
        raise BuildError(
            f"{go_mod} requires CoreDNS {built}, but {VERSIONS.name} says {version}", "make both the same"
        )


def build_pause(arch: Arch, b: Build) -> None:
    """Wrap Debian's catatonit, a static program, as the image of every pod's first container."""
    program = (
        tools.tree(keyed("catatonit", arch.name), b.progress, b.note) / "usr/bin/catatonit"
    ).read_bytes()
    needs = elf.linking(program)
    if needs is None or needs.loader or needs.needed:
        raise BuildError("catatonit is not a static program any more", "the pause image needs its libraries")
    tree = Tree()
    tree.add_file("pause", program, 0o755)
    image = oci.Image(
        reference("pause"),
        tree,
        ("/pause", "-P"),
        user="65535:65535",
        annotations={"org.opencontainers.image.licenses": "GPL-2.0-or-later"},
        architecture=arch.name,
    )
    oci.write_archive(image, b.out, b.epoch, b.scratch)


def coredns(target: Target) -> Path:
    """The archive with the cluster's DNS server."""
    return target.folder / "images" / "coredns.tar"


def pause(target: Target) -> Path:
    """The archive with the first container of every pod."""
    return target.folder / "images" / "pause.tar"


def preloaded(target: Target) -> list[Path]:
    """The OCI archives that every node has; nothing where the payload needs none."""
    return [] if target.payload in payload.WITHOUT_IMAGES else [coredns(target), pause(target)]


def tasks(target: Target) -> Iterator[dict[str, object]]:
    """The images of a target."""
    if not preloaded(target):
        return
    yield artifact(
        target.task("image-coredns"),
        doc="CoreDNS as an OCI archive",
        build=partial(build_coredns, target.arch),
        targets=[coredns(target)],
        files=[VERSIONS],
        trees=[COREDNS_SOURCE],
        values={"epoch": target.epoch},
        group=target.group,
    )
    yield artifact(
        target.task("image-pause"),
        doc="the pause container as an OCI archive",
        build=partial(build_pause, target.arch),
        targets=[pause(target)],
        files=[VERSIONS, listing("catatonit", target.arch)],
        values={"epoch": target.epoch},
        group=target.group,
    )
