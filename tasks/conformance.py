"""Kubernetes' own tests of a cluster, of the version that the payload has, and the images that they run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tasks import payload, testimages
from tasks.lib.arch import HOST, Arch
from tasks.lib.debian import tools
from tasks.lib.debian.lockfile import keyed
from tasks.lib.engine import Build, artifact
from tasks.lib.errors import BuildError
from tasks.lib.formats import elf, oci
from tasks.lib.formats.tree import Tree
from tasks.lib.go.program import Program, compile_program, go_environment
from tasks.lib.go.program import command as go_command
from tasks.lib.go.tests import compile_tests
from tasks.lib.paths import BUILD, TOP
from tasks.lib.process import run
from tasks.lib.target import Target
from tasks.sources import listing

MODULE = TOP / "tests" / "conformance"
IMAGES = MODULE / "images"
REGISTRIES = MODULE / "registries.yaml"
GO_FILES = (MODULE / "go.mod", MODULE / "go.sum", MODULE / "suite.go")
REPOSITORY = "kubesolo.io/e2e"
VERSION = tuple((f"{payload.VERSION_PACKAGE}.git{part}", text) for part, text in (
    ("Version", f"v{payload.KUBERNETES}"),
    ("Major", payload.KUBERNETES.split(".")[0]),
    ("Minor", payload.KUBERNETES.split(".")[1]),
))  # fmt: skip
SUITE = Program("k8s.io/kubernetes/test/e2e", variables=VERSION)
FOLDER = "k8s.io/kubernetes/test/images"
# What the images' own programs are called in them.
PROGRAMS = {
    "agnhost": Program(f"{FOLDER}/agnhost"),
    "usr/local/bin/nnp": Program(f"{FOLDER}/nonewprivs"),
    "sample-apiserver": Program("k8s.io/sample-apiserver"),
    "usr/local/bin/etcd": Program("go.etcd.io/etcd/server/v3"),
}
DEBIAN = ("usr/bin/dig", "usr/bin/curl", "usr/bin/nc.openbsd")
USERS = "user-defined-in-image:x:1000:1000::/home/user-defined-in-image:/bin/sh\n"
GROUPS = "user-defined-in-image:x:1000:\ngroup-defined-in-image:x:50000:user-defined-in-image\n"
AGNHOST = ("/agnhost",)


def build_suite(go: tuple[tuple[str, str], ...], b: Build) -> None:
    """Compile the suite as one program."""
    check_version(MODULE / "go.mod")
    compile_tests(MODULE, SUITE, b.out, go, b.progress)
    b.out.chmod(0o755)


def check_version(go_mod: Path) -> None:
    """Raise BuildError when the suite is not that of the payload's Kubernetes."""
    found = re.search(r"^require k8s\.io/kubernetes v(\S+)$", go_mod.read_text(), re.MULTILINE)
    if found is None or found[1] != payload.KUBERNETES:
        raise BuildError(
            f"{go_mod}: the suite is {found[1] if found else 'missing'}, the payload {payload.KUBERNETES}",
            "require the same k8s.io/kubernetes in both, then `go mod tidy`",
        )


def build_images(arch: Arch, b: Build) -> None:
    """All images in one archive; most have the same lowest layer, with agnhost and a shell."""
    base = base_tree(arch, b)
    images = [image for name, tag in names() for image in [one_image(name, tag, base, arch, b)]]
    oci.write_archives(images, b.out, b.epoch, b.scratch)


def names() -> list[tuple[str, str]]:
    """Name and version of each image, as the suite asks for them; nginx is there twice."""
    return [(words[0], words[1]) for words in map(str.split, IMAGES.read_text().splitlines())]


def one_image(name: str, tag: str, base: Tree, arch: Arch, b: Build) -> oci.Image:
    """An image by its name; BuildError when nobody knows how it is made."""
    image = partial(oci.Image, f"{REPOSITORY}/{name}:{tag}", architecture=arch.name)
    path = {"PATH": "/usr/local/bin:/usr/sbin:/usr/bin:/bin"}
    tree = Tree()
    match name:
        case "agnhost":
            return image(base, AGNHOST, command=("pause",), environment=path)
        case "nonroot":
            return image(base, AGNHOST, command=("pause",), environment=path, user="1234")
        case "glibc-dns-testing":
            return image(base, (), command=("sh",), environment=path)
        case "kitten" | "nautilus":
            tree.add_folder(kubernetes() / "test" / "images" / name / "html")
            return image(tree, AGNHOST, command=("test-webserver",), environment=path, below=(base,))
        case "busybox":
            tree = testimages.empty_root()
            add_busybox(tree, arch, b)
            return image(tree, (), command=("sh",), environment=path)
        case "nginx":
            testimages.add_program(
                tree, tools.tree(keyed("nginx", arch.name), b.progress, b.note), arch.libraries
            )
            run_it = ("/usr/sbin/nginx", "-e", "stderr", "-c", "/etc/nginx/nginx.conf")
            return image(tree, (), command=run_it, environment=path, below=(base,), ports=("80/tcp",))
        case "pause":
            add_pause(tree, arch, b)
            return image(tree, ("/pause", "-P"), user="65535:65535")
        case "nonewprivs":
            add_compiled(tree, "usr/local/bin/nnp", 0o4755, arch, b)
            return image(tree, (), command=("nnp",), environment=path, below=(base,))
        case "sample-apiserver":
            add_compiled(tree, "sample-apiserver", 0o755, arch, b)
            return image(tree, ("/sample-apiserver",), below=(base,))
        case "etcd":
            add_compiled(tree, "usr/local/bin/etcd", 0o755, arch, b)
            return image(tree, (), command=("etcd",), environment=path, below=(base,))
    raise BuildError(f"{IMAGES}: nobody knows how {name} is made", "see one_image in tasks/conformance.py")


def base_tree(arch: Arch, b: Build) -> Tree:
    """agnhost with what the suite runs beside it: a shell, dig, curl and nc."""
    tree = testimages.empty_root()
    tree.add_file("etc/passwd", testimages.USERS + USERS)
    tree.add_file("etc/group", testimages.GROUPS + GROUPS)
    tree.add_dir("uploads")
    tree.add_dir("home")
    unpacked = Tree()
    unpacked.add_folder(tools.tree(keyed("conformance", arch.name), b.progress, b.note))
    for path in elf.closure(unpacked, DEBIAN, (arch.libraries,)):
        if path not in testimages.MERGED:
            testimages.copy_entry(unpacked, tree, path)
    add_busybox(tree, arch, b)
    tree.remove("usr/bin/nc")
    tree.add_symlink("usr/bin/nc", "nc.openbsd")
    add_compiled(tree, "agnhost", 0o755, arch, b)
    tree.add_symlink("agnhost-2", "agnhost")
    for name in ("localhost.crt", "localhost.key"):
        tree.add_file(name, kubernetes() / "test" / "images" / "agnhost" / "porter" / name)
    return tree


def add_busybox(tree: Tree, arch: Arch, b: Build) -> None:
    """The static BusyBox under all of its names."""
    tree.add_file(
        "usr/bin/busybox",
        tools.tree(keyed("userland", arch.name), b.progress, b.note) / "usr/bin/busybox",
        0o755,
    )
    for name in run([*tools.command("busybox"), "--list"]).stdout.decode().split():
        if name != "busybox" and not tree.has(f"usr/bin/{name}"):
            tree.add_symlink(f"usr/bin/{name}", "busybox")


def add_compiled(tree: Tree, path: str, mode: int, arch: Arch, b: Build) -> None:
    """One of PROGRAMS."""
    out = b.scratch / Path(path).name
    b.note(f"compiling {out.name}")
    compile_program(MODULE, PROGRAMS[path], out, arch.go, b.progress)
    tree.add_file(path, out, mode)


def add_pause(tree: Tree, arch: Arch, b: Build) -> None:
    """The program of the product's own pause image."""
    packages = tools.tree(keyed("catatonit", arch.name), b.progress, b.note)
    tree.add_file("pause", packages / "usr/bin/catatonit", 0o755)


def kubernetes() -> Path:
    """Where go keeps the module of Kubernetes; it has been fetched for what is compiled from it."""
    words: list[str | Path] = [go_command(), "list", "-m", "-f", "{{.Dir}}", "k8s.io/kubernetes"]
    return Path(run(words, cwd=MODULE, env=go_environment(MODULE)).stdout.decode().strip())


def suite() -> Path:
    """The suite's program, which runs here."""
    return BUILD / HOST.name / "conformance" / "e2e.test"


def archive(target: Target) -> Path:
    """The archive with the suite's images."""
    return target.folder / "conformance" / "images.tar"


def tasks(target: Target) -> Iterator[dict[str, object]]:
    """What `./doit conformance` needs."""
    yield artifact(
        target.task("conformance-suite"),
        doc="Kubernetes' end-to-end tests, compiled",
        build=partial(build_suite, HOST.go),
        targets=[suite()],
        files=GO_FILES,
        group="conformance",
    )
    sets = ("conformance", "nginx", "userland", "catatonit")
    yield artifact(
        target.task("conformance-images"),
        doc="the images of those tests, as an OCI archive",
        build=partial(build_images, target.arch),
        targets=[archive(target)],
        files=[*GO_FILES, IMAGES, *(listing(name, target.arch) for name in sets)],
        trees=[testimages.SOURCE / "nginx"],
        tools=("tools",),
        values={"epoch": target.epoch},
        group="conformance",
    )
