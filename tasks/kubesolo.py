"""Portainer's release of KubeSolo: an archive with one program, and what that needs besides on the node."""

from __future__ import annotations

import tarfile
import zlib
from pathlib import Path

from tasks.lib.arch import Arch
from tasks.lib.errors import BuildError
from tasks.lib.formats import elf
from tasks.lib.formats.packages import Unpacked
from tasks.lib.formats.tree import Tree
from tasks.lib.paths import TOP
from tasks.skeleton import merged

NAME = "kubesolo"
SET = "iptables"
LAUNCHER = TOP / "payload" / "kubesolo" / "kubesolo"
PROGRAM = "usr/libexec/kubesolo/kubesolo"
# Its kube-proxy programs iptables. Debian chooses between two builds when it installs: this is on nftables.
MULTI = "xtables-nft-multi"
NAMES = tuple(f"{family}tables{suffix}" for family in ("ip", "ip6") for suffix in ("", "-save", "-restore"))
EXTENSIONS = "xtables/"
PIN = "wants the release's .tar.gz for linux: see downloads in versions.toml"
MACHINES = {"x86_64": "EM_X86_64", "aarch64": "EM_AARCH64"}


def program(archive: Path, arch: Arch) -> bytes:
    """The program of a release (kubesolo-v<version>-linux-<arch>.tar.gz).

    Raises BuildError when that is no such archive, or the program is for another architecture.
    """
    try:
        with tarfile.open(archive, "r:gz") as tar:
            found = [member for member in tar if member.isfile() and Path(member.name).name == NAME]
            stream = tar.extractfile(found[0]) if len(found) == 1 else None
            data = stream.read() if stream else b""
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise BuildError(f"{NAME}: the release is no archive: {error}", PIN) from error
    if len(found) != 1:
        what = f"{len(found)} files" if found else "no file"
        raise BuildError(f"{NAME}: the archive has {what} named {NAME}", PIN)
    check_machine(data, arch)
    return data


def check_machine(data: bytes, arch: Arch) -> None:
    """Refuse a program for another architecture. A script is for every one."""
    wanted = (MACHINES[arch.machine], 64)
    linked = elf.linking(data)
    if linked is None and not data.startswith(b"#!"):
        raise BuildError(f"{NAME}: the program in the archive is no program", "fetch the release again")
    if linked and linked.machine != wanted:
        raise BuildError(f"{NAME}: the archive's program is for {linked.machine[0]}, not for {arch.name}",
                         f"write the release for {arch.name} into downloads of versions.toml")  # fmt: skip


def main_tree(data: bytes) -> Tree:
    """The program behind its launcher."""
    tree = Tree()
    tree.add_file(f"usr/bin/{NAME}", LAUNCHER, 0o755)
    tree.add_file(PROGRAM, data, 0o755)
    return tree


def helper_tree(packages: Unpacked, data: bytes, libraries: str, userland: Path) -> Tree:
    """iptables with its extensions, and the libraries of both programs that the userland does not have."""
    present, everything = Tree(), packages.tree
    present.add_tar(userland)
    everything.add_file(PROGRAM, data, 0o755)
    extensions = [path for path in everything if path.startswith(f"{libraries}/{EXTENSIONS}")]
    wanted = [f"usr/sbin/{MULTI}", *(path for path in extensions if path.endswith(".so")), PROGRAM]
    needed = elf.closure(everything, wanted, (libraries, "usr/lib", "usr/lib64"))
    taken = {path for path in needed if path not in present and path != PROGRAM}
    tree = merged()
    tree.add_tree(everything.only(taken.__contains__))
    for name in NAMES:
        tree.add_symlink(f"usr/bin/{name}", MULTI)
    return tree
