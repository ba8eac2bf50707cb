"""A CorePure64 ISO and a release of KubeSolo as their makers lay them out, small enough for tests."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

from tasks.lib.formats import cpio
from tasks.lib.formats.tree import Tree
from tasks.lib.kernel.modules import SUFFIX

# An applet that this BusyBox was built without; the name keeps its place in the sorted table.
LACKING = "nsenter"
FOLDERS = ("bin", "dev", "etc", "home/tc", "lib", "proc", "sbin", "sys", "tmp", "usr/bin", "usr/sbin", "var")


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def release(out: Path, program: bytes, name: str = "kubesolo") -> Path:
    """kubesolo-v<version>-linux-<arch>.tar.gz: one program."""
    with tarfile.open(out, "w:gz") as tar:
        member = tarfile.TarInfo(name)
        member.size, member.mode = len(program), 0o755
        tar.addfile(member, io.BytesIO(program))
    return out


def root(busybox: bytes) -> Tree:
    """What corepure64.gz has besides modules: folders that are not merged, a user who may do everything."""
    tree = Tree()
    for folder in FOLDERS:
        tree.add_dir(folder)
    tree.add_symlink("lib64", "lib")
    tree.add_file("bin/busybox", busybox, 0o755)
    for applet in ("sh", "cat", "ls"):
        tree.add_symlink(f"bin/{applet}", "busybox")
    tree.add_symlink("sbin/modprobe", "../bin/busybox")
    tree.add_file("usr/bin/sudo", b"#!/bin/sh\n", 0o4755)
    tree.add_file("etc/sudoers", "tc ALL=NOPASSWD: ALL\n", 0o440)
    tree.add_file("init", "#!/bin/sh\n", 0o755)
    tree.add_device("dev/console", "char", 5, 1, 0o600)
    return tree


def lacking(busybox: bytes, applet: str = LACKING) -> bytes:
    """The same BusyBox without an applet."""
    name = applet.encode()
    assert busybox.count(b"\0" + name + b"\0") == 1
    return busybox.replace(b"\0" + name + b"\0", b"\0" + name[:-1] + b"x\0")


def modules(kernel: Tree, release: str) -> Tree:
    """lib/modules/<release>/ as corepure64.gz has it, each module packed by gzip."""
    tree = Tree()
    for path, entry in kernel.items():
        if entry.kind != "file":
            continue
        place, data = path.removeprefix("usr/"), entry.read()
        if SUFFIX.search(path):
            place, data = f"{SUFFIX.sub('.ko.gz', place)}", gzip.compress(data, 1, mtime=0)
        tree.add_file(place, data)
    tree.add_symlink(f"lib/modules/{release}/kernel.tclocal", f"/usr/local/lib/modules/{release}/kernel")
    return tree


def packed(*trees: Tree) -> bytes:
    """An initramfs of several archives, each packed by itself."""
    result = b""
    for tree in trees:
        stream = io.BytesIO()
        cpio.write(tree, stream, 0)
        result += gzip.compress(stream.getvalue(), 1, mtime=0)
    return result


def corepure(out: Path, files: Mapping[str, bytes]) -> Path:
    """An ISO with these files, by their names in boot/."""
    import pycdlib

    iso = pycdlib.PyCdlib()
    iso.new(interchange_level=2, rock_ridge="1.09", vol_ident="CorePure64")
    iso.add_directory("/BOOT", rr_name="boot")
    for number, (name, data) in enumerate(files.items()):
        iso.add_fp(io.BytesIO(data), len(data), f"/BOOT/FILE{number}.;1", rr_name=name)
    iso.write(str(out))
    iso.close()
    return out
