"""The image of the tests' workload: a real nginx, with BusyBox for what tests do inside a pod."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tasks.lib.debian import tools
from tasks.lib.debian.lockfile import keyed
from tasks.lib.engine import Build, artifact
from tasks.lib.formats import elf, oci
from tasks.lib.formats.tree import Tree
from tasks.lib.paths import TOP
from tasks.lib.release.imagenames import reference
from tasks.lib.target import Target
from tasks.sources import listing

SOURCE = TOP / "tests" / "images"
REPOSITORY = "kubesolo.io/test"
APPLETS = (
    "cat", "cp", "dd", "echo", "env", "grep", "head", "hostname", "id", "ip", "ls", "mkdir", "nc", "nslookup",
    "ping", "rm", "sed", "seq", "sh", "sha256sum", "sleep", "stat", "sync", "tail", "tar", "touch", "true",
    "wc", "wget",
)  # fmt: skip
# Where Debian's packages keep them; the loader's path in programs begins with the old folder.
MERGED = {"bin": "usr/bin", "sbin": "usr/sbin", "lib": "usr/lib", "lib64": "usr/lib64"}
USERS = "root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n"
GROUPS = "root:x:0:\nnogroup:x:65534:\n"


def build_nginx(architecture: str, libraries: str, b: Build) -> None:
    """Take nginx, the libraries that it needs and BusyBox from locked packages, and wrap them as an image."""
    tree = empty_root()
    add_program(tree, tools.tree(keyed("nginx", architecture), b.progress, b.note), libraries)
    add_shell(tree, tools.tree(keyed("userland", architecture), b.progress, b.note))
    image = oci.Image(
        nginx_reference(),
        tree,
        ("/usr/sbin/nginx", "-e", "stderr", "-c", "/etc/nginx/nginx.conf"),
        environment={"PATH": "/usr/sbin:/usr/bin"},
        ports=("80/tcp",),
        annotations={"org.opencontainers.image.licenses": "BSD-2-Clause AND GPL-2.0-only"},
        architecture=architecture,
    )
    oci.write_archive(image, b.out, b.epoch, b.scratch)


def nginx_reference() -> str:
    """What pods call the image."""
    return reference("nginx", SOURCE / "versions", REPOSITORY)


def empty_root() -> Tree:
    """Folders, users, and how names are looked up."""
    tree = Tree()
    for name, target in MERGED.items():
        tree.add_dir(target)
        tree.add_symlink(name, target)
    tree.add_dir("tmp", 0o1777)
    tree.add_file("etc/passwd", USERS)
    tree.add_file("etc/group", GROUPS)
    tree.add_file("etc/nsswitch.conf", "hosts: files dns\n")
    return tree


def add_program(tree: Tree, packages: Path, libraries: str) -> None:
    """nginx with its libraries, our configuration and the page."""
    unpacked = Tree()
    unpacked.add_folder(packages)
    for path in elf.closure(unpacked, ["usr/sbin/nginx"], (libraries,)):
        if path not in MERGED:
            copy_entry(unpacked, tree, path)
    copy_entry(unpacked, tree, "etc/nginx/mime.types")
    tree.add_file("etc/nginx/nginx.conf", SOURCE / "nginx" / "nginx.conf")
    tree.add_file("usr/share/nginx/html/index.html", SOURCE / "nginx" / "index.html")


def copy_entry(source: Tree, tree: Tree, path: str) -> None:
    """One file or symlink from one tree to another."""
    entry = source[path]
    if entry.kind == "symlink":
        tree.add_symlink(path, entry.target)
    else:
        tree.add_file(path, entry.content, entry.mode)


def add_shell(tree: Tree, packages: Path) -> None:
    """The static BusyBox, under the names of the programs that tests run."""
    tree.add_file("usr/bin/busybox", packages / "usr/bin/busybox", 0o755)
    for name in APPLETS:
        tree.add_symlink(f"usr/bin/{name}", "busybox")


def nginx(target: Target) -> Path:
    """The archive with the workload."""
    return target.folder / "test-images" / "nginx.tar"


def tasks(target: Target) -> Iterator[dict[str, object]]:
    """The tests' workload."""
    yield artifact(
        target.task("test-images"),
        doc="nginx with BusyBox as an OCI archive, for the tests' pods",
        build=partial(build_nginx, target.arch.name, target.arch.libraries),
        targets=[nginx(target)],
        files=[listing("nginx", target.arch), listing("userland", target.arch), SOURCE / "versions"],
        trees=[SOURCE / "nginx"],
        values={"epoch": target.epoch},
        group="tests",
    )
