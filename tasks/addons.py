"""Images that every node holds, so that nothing is pulled: CoreDNS and the pause container of pods."""

from __future__ import annotations

import re
from pathlib import Path

from tasks.lib.config import load_config
from tasks.lib.debian import tools
from tasks.lib.engine import Build, artifact
from tasks.lib.errors import BuildError
from tasks.lib.formats import elf, oci
from tasks.lib.formats.tree import Tree
from tasks.lib.go.program import Program, compile_program
from tasks.lib.paths import BUILD, TOP
from tasks.lib.release.imagenames import VERSIONS, reference, versions
from tasks.sources import listing

IMAGES = BUILD / "images"
COREDNS = IMAGES / "coredns.tar"
PAUSE = IMAGES / "pause.tar"
COREDNS_SOURCE = TOP / "payload" / "images" / "coredns"
# Without this tag gRPC brings html/template, which doubles the program: see exporter-toolkit/web/web.go.
PROGRAM = Program(tags=("grpcnotrace",))


def build_coredns(b: Build) -> None:
    """Compile CoreDNS and wrap it as an image."""
    check_coredns_version(COREDNS_SOURCE / "go.mod", versions()["coredns"])
    program = b.scratch / "coredns"
    compile_program(COREDNS_SOURCE, PROGRAM, program, b.progress)
    tree = Tree()
    tree.add_file("coredns", program, 0o755)
    image = oci.Image(
        reference("coredns"),
        tree,
        ("/coredns",),
        user="65532:65532",
        ports=("53/tcp", "53/udp"),
        annotations={"org.opencontainers.image.licenses": "Apache-2.0"},
    )
    oci.write_archive(image, b.out, load_config().os.epoch, b.scratch)


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


def build_pause(b: Build) -> None:
    """Wrap Debian's catatonit, a static program, as the image of every pod's first container."""
    program = (tools.tree("catatonit", b.progress, b.note) / "usr/bin/catatonit").read_bytes()
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
    )
    oci.write_archive(image, b.out, load_config().os.epoch, b.scratch)


def task_image_coredns() -> dict[str, object]:
    """The cluster's DNS server."""
    return artifact(
        "image-coredns",
        doc="CoreDNS as an OCI archive",
        build=build_coredns,
        targets=[COREDNS],
        files=[VERSIONS],
        trees=[COREDNS_SOURCE],
        values={"epoch": load_config().os.epoch},
    )


def task_image_pause() -> dict[str, object]:
    """The first container of every pod."""
    return artifact(
        "image-pause",
        doc="the pause container as an OCI archive",
        build=build_pause,
        targets=[PAUSE],
        files=[VERSIONS, listing("catatonit")],
        values={"epoch": load_config().os.epoch},
    )
