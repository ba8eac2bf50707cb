"""The programs of the Live CD's Kubernetes layer: compiled from live/programs/go.mod, or downloaded.

Nothing in them is patched: they are for people who work on Kubernetes itself. Flags, tags and versions are
the payload's, so that what it has compiled already is not compiled again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path, PurePosixPath

from tasks import live, payload, sources
from tasks.lib.config import Component
from tasks.lib.debian import fetch
from tasks.lib.engine import Build, artifact
from tasks.lib.engine.spec import Recipe
from tasks.lib.formats.packages import add_deb
from tasks.lib.formats.tree import Tree
from tasks.lib.go.program import Program, compile_program
from tasks.lib.net import cache, component, pinned
from tasks.lib.paths import TOP
from tasks.lib.target import Target

MODULE = TOP / "live" / "programs"
GO_FILES = (MODULE / "go.mod", MODULE / "go.sum")
TAGS = payload.KUBESOLO.tags
KUBERNETES_VARIABLES = (
    (f"{payload.VERSION_PACKAGE}.gitVersion", f"v{payload.KUBERNETES}"),
    (f"{payload.VERSION_PACKAGE}.gitMajor", payload.KUBERNETES.split(".")[0]),
    (f"{payload.VERSION_PACKAGE}.gitMinor", payload.KUBERNETES.split(".")[1]),
    (f"{payload.VERSION_PACKAGE}.gitTreeState", "clean"),
)
CONTAINERD = "github.com/containerd/containerd/v2"
CRICTL = "1.36.0"
CNI_PLUGINS = "github.com/containernetworking/plugins/plugins"
BIN, CNI_BIN, IMAGE_BIN = "usr/bin", "opt/cni/bin", "usr/local/bin"
PACKAGES = "live-kubernetes"
# What of Debian's packages is left out: dpkg, which would know, does not install them.
UNWANTED = ("usr/share/doc/", "usr/share/man/")
FOR_COMPILERS = (".a", ".h", ".pc")
# On the node, and in images.
NODE = ("kubelet", "kubeadm", "kubectl", "containerd", "crictl", "cni", "crun")
CONTROL_PLANE = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "etcd")


def kubernetes(name: str, folder: str = BIN) -> dict[str, Program]:
    """One of Kubernetes' programs."""
    return {f"{folder}/{name}": Program(f"k8s.io/kubernetes/cmd/{name}", TAGS, KUBERNETES_VARIABLES)}


def containerd(name: str) -> Program:
    """One of containerd's programs."""
    return Program(
        f"{CONTAINERD}/cmd/{name}", TAGS, ((f"{CONTAINERD}/version.Version", f"v{payload.CONTAINERD}"),)
    )


def plugin(name: str) -> Program:
    """A CNI plugin, by its path below the project's."""
    return Program(f"{CNI_PLUGINS}/{name}", TAGS)


# Every component's programs by their paths.
COMPILED: Mapping[str, Mapping[str, Program]] = {
    **{name: kubernetes(name) for name in ("kubelet", "kubeadm", "kubectl")},
    **{name: kubernetes(name, IMAGE_BIN) for name in CONTROL_PLANE if name != "etcd"},
    "etcd": {f"{IMAGE_BIN}/etcd": Program("go.etcd.io/etcd/server/v3", TAGS)},
    "containerd": {
        f"{BIN}/{name}": containerd(name) for name in ("containerd", "containerd-shim-runc-v2", "ctr")
    },
    "crictl": {
        f"{BIN}/crictl": Program(
            "sigs.k8s.io/cri-tools/cmd/crictl",
            TAGS,
            (("sigs.k8s.io/cri-tools/pkg/version.Version", f"v{CRICTL}"),),
        )
    },
    "cni": {
        f"{CNI_BIN}/{PurePosixPath(path).name}": plugin(path)
        for path in ("ipam/host-local", "main/bridge", "main/loopback", "meta/portmap")
    },
}


def archive(target: Target, name: str) -> Path:
    """A component's programs, laid out as on the node or in the image."""
    return live.folder(target) / "components" / f"{name}.tar"


def build_compiled(name: str, go: tuple[tuple[str, str], ...], b: Build) -> None:
    """Compile a component.

    One at a time: of two that are compiled together, each compiles the hundreds of packages that both have.
    """
    tree = Tree()
    with cache.held("live-programs", b.note):
        for path, program in COMPILED[name].items():
            out = b.scratch / Path(path).name
            b.note(f"compiling {out.name}")
            compile_program(MODULE, program, out, go, b.progress)
            tree.add_file(path, out, 0o755)
    tree.write_tar(b.out, b.epoch)


def build_crun(b: Build) -> None:
    """Take the runtime of containers, and libraries that the root does not have, from Debian's packages."""
    present = {package.name for package in fetch.packages("live")}
    tree = Tree()
    tree.add_symlink("lib", "usr/lib")
    for package, deb in fetch.fetch_set(PACKAGES, b.progress, b.note):
        if package.name not in present:
            add_deb(tree, deb)
    tree.remove("lib")
    chosen = tree.only(lambda path: not path.startswith(UNWANTED) and not path.endswith(FOR_COMPILERS))
    chosen.write_tar(b.out, b.epoch)


def build_downloaded(name: str, url: str, sha256: str, b: Build) -> None:
    """Take a component from what its project hands out."""
    paths = {PurePosixPath(path).name: path for path in COMPILED.get(name, (f"{BIN}/{name}",))}
    file, tree = pinned.fetch(name, url, sha256, b.note, "live.components"), Tree()
    # Of plugins, all that there are.
    for program, data in component.programs(file, url, ["*"] if name == "cni" else paths).items():
        tree.add_file(paths.get(program, f"{CNI_BIN}/{program}"), data, 0o755)
    tree.write_tar(b.out, b.epoch)


def tasks(target: Target, downloads: Mapping[str, Component]) -> Iterator[dict[str, object]]:
    """A tar a component. downloads: those that are not compiled."""
    for name in (*NODE, *CONTROL_PLANE):
        doc, recipe, files = made(name, target, downloads.get(name))
        yield artifact(
            target.task(f"live-{name}"),
            doc=f"Live CD: {name}, {doc}",
            build=recipe,
            targets=[archive(target, name)],
            files=files,
            values={"epoch": target.epoch},
            group=target.group,
        )


def made(name: str, target: Target, given: Component | None) -> tuple[str, Recipe, tuple[Path, ...]]:
    """How a component is had: in a word, the recipe, and what that reads. given: where it is downloaded."""
    if given:
        return given.url, partial(build_downloaded, name, given.url, given.sha256), ()
    if name == "crun":
        return "Debian's", build_crun, (sources.listing(PACKAGES), sources.listing("live"))
    return "compiled", partial(build_compiled, name, target.arch.go), GO_FILES
