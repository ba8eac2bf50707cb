"""The payload: what runs on the node. Every provider makes two tars of files laid out as on the node: the
program that is the payload, and its helpers, which an edit of the program leaves as they are."""

from __future__ import annotations

import shutil
import tarfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tasks import downloads, kubesolo, sources, userland
from tasks.lib.arch import Arch
from tasks.lib.debian.lockfile import keyed
from tasks.lib.engine import Build, artifact
from tasks.lib.errors import BuildError
from tasks.lib.formats.packages import unpack
from tasks.lib.formats.tree import Tree
from tasks.lib.go.program import Program, compile_program
from tasks.lib.paths import TOP
from tasks.lib.provider import Inputs, Provider, choose
from tasks.lib.release.imagenames import VERSIONS
from tasks.lib.target import Pinned, Target
from tasks.skeleton import merged

MODULE = TOP / "payload"
STUB = MODULE / "stub" / "kubesolo"
COMMAND = "usr/bin/kubesolo"
KUBERNETES = "1.36.3"
CONTAINERD = "2.3.7"
VERSION_PACKAGE = "k8s.io/component-base/version"
# What is changed in its modules and in the toolchain's library, and the number of that state in the versions
# that the manifest gives them: raise it with every change to a patch.
PATCHES = tuple(sorted((MODULE / "patches").glob("*.patch")))
# Those of the library alone: gRPC brings html/template to the shim, but nothing executes a template there.
LIBRARY_PATCHES = tuple(path for path in PATCHES if path.name.startswith("go-"))
CNI_PATCHES = tuple(path for path in PATCHES if path.name.startswith("cni-"))
PATCH_LEVEL = 3
SUFFIX = f"+kubesolo.{PATCH_LEVEL}"
KUBESOLO = Program(
    patches=PATCHES,
    tags=("providerless", "no_btrfs", "no_zfs", "no_devmapper", "no_aufs", "grpcnotrace", "nri_no_wasm"),
    variables=(
        (f"{VERSION_PACKAGE}.gitVersion", f"v{KUBERNETES}{SUFFIX}"),
        (f"{VERSION_PACKAGE}.gitMajor", KUBERNETES.split(".")[0]),
        (f"{VERSION_PACKAGE}.gitMinor", KUBERNETES.split(".")[1]),
        (f"{VERSION_PACKAGE}.gitTreeState", "clean"),
        ("github.com/containerd/containerd/v2/version.Version", f"v{CONTAINERD}"),
    ),
)
# Small programs of their own, as one that is started for every pod or container must not be the big one.
CNI_PLUGINS = "usr/libexec/cni"
CNI = f"{CNI_PLUGINS}/kubesolo-cni"
HELPERS = {
    "usr/bin/containerd-shim-runc-v2": Program(
        "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2", patches=LIBRARY_PATCHES
    ),
    # All plugins in one program, which the links give their names.
    CNI: Program("./cni", patches=CNI_PATCHES),
}
# containerd brings up a pod's loopback by itself; that plugin is for network lists that name it.
CNI_NAMES = ("bridge", "host-local", "loopback", "portmap")


def build_upstream(go: tuple[tuple[str, str], ...], b: Build) -> None:
    """Kubernetes, containerd and kine in one program, with the helpers that containers need."""
    main, helpers = Tree(), Tree()
    for path, program in {COMMAND: KUBESOLO, **HELPERS}.items():
        out = b.scratch / Path(path).name
        b.note(f"compiling {out.name}")
        compile_program(MODULE, program, out, go, b.progress)
        (main if path == COMMAND else helpers).add_file(path, out, 0o755)
    main.add_symlink("usr/bin/kubectl", "kubesolo")
    for name in CNI_NAMES:
        helpers.add_symlink(f"{CNI_PLUGINS}/{name}", Path(CNI).name)
    write_payload(main, helpers, b)


def build_stub(b: Build) -> None:
    """A few lines of shell that reach the milestones at once, for tests of the boot logic."""
    main = Tree()
    main.add_file(COMMAND, STUB, 0o755)
    write_payload(main, Tree(), b)


def build_kubesolo(release: Pinned, arch: Arch, programs: Path, b: Build) -> None:
    """Portainer's release, with the iptables of locked packages. programs: the userland's tar."""
    data = kubesolo.program(downloads.path(release, b), arch)
    packages = unpack(keyed(kubesolo.SET, arch.name), merged(), b)
    helpers = kubesolo.helper_tree(packages, data, arch.libraries, programs)
    write_payload(kubesolo.main_tree(data), helpers, b)


def write_payload(main: Tree, helpers: Tree, b: Build) -> None:
    """Write the provider's tars."""
    for tree, out in zip((main, helpers), b.outs, strict=True):
        tree.write_tar(out, b.epoch)


def go_files() -> tuple[Path, ...]:
    """The files of the payload's module that are not in one of its folders; image recipes are modules of
    their own."""
    return (
        *sorted(MODULE.glob("*.go")),
        MODULE / "go.mod",
        MODULE / "go.sum",
        MODULE / "images" / "images.go",
        VERSIONS,
    )


def upstream_inputs(target: Target) -> Inputs:
    """The payload's module."""
    return Inputs(go_files(), (MODULE / "cni", MODULE / "internal", MODULE / "manifests", MODULE / "patches"))


def kubesolo_inputs(target: Target) -> Inputs:
    """The release, its launcher, the userland, and the packages of iptables."""
    files = (kubesolo.LAUNCHER, userland.archive(target), sources.listing(kubesolo.SET, target.arch))
    return Inputs(files, downloads=(target.pinned(kubesolo.NAME),))


# Every provider's first tar has at least usr/bin/kubesolo, a program that takes the command line of kubesolo,
# appends its milestones to /run/kubesolo/milestones and ends on SIGTERM.
PROVIDERS = {
    "upstream": Provider(
        "Kubernetes in one process",
        lambda target: partial(build_upstream, target.arch.go),
        upstream_inputs,
    ),
    "kubesolo": Provider(
        "Portainer's release of KubeSolo",
        lambda target: partial(
            build_kubesolo, target.pinned(kubesolo.NAME), target.arch, userland.archive(target)
        ),
        kubesolo_inputs,
    ),
    "stub": Provider(
        "a stand-in that boots in seconds",
        lambda target: build_stub,
        lambda target: Inputs((STUB,)),
    ),
}
WITH_CONTAINERS = "upstream"
# Those that need no images of ours: they run no containers, or have images in themselves.
WITHOUT_IMAGES = ("stub", "kubesolo")


def archive(target: Target) -> Path:
    """Where the tar with the program lies."""
    return target.payload_folder / "payload.tar"


def helpers(target: Target) -> Path:
    """Where the tar with the other programs lies."""
    return target.payload_folder / "helpers.tar"


def unpack_kubectl(archive: Path, folder: Path) -> Path:
    """The program out of its tar, under the name by which it is kubectl."""
    program = folder / "kubectl"
    with tarfile.open(archive) as tar:
        source = tar.extractfile(COMMAND)
        if source is None:
            raise BuildError(f"{archive}: has no {COMMAND}")
        with source, program.open("wb") as out:
            shutil.copyfileobj(source, out)
    program.chmod(0o755)
    return program


def tasks(target: Target) -> Iterator[dict[str, object]]:
    """The tars of the payload."""
    provider = choose("payload", target.payload, PROVIDERS)
    inputs = provider.inputs(target)
    yield artifact(
        target.task("payload"),
        doc=f"payload of provider {target.payload}: {provider.doc}",
        build=provider.recipe(target),
        targets=[archive(target), helpers(target)],
        files=[*inputs.files, *map(downloads.record, inputs.downloads)],
        trees=inputs.trees,
        tools=inputs.tools,
        values={"epoch": target.epoch},
        group=target.group,
    )
