"""Tiny Core Linux' CorePure64: an ISO with boot/vmlinuz64 and boot/corepure64.gz, its root as a cpio."""

from __future__ import annotations

import gzip
import io
import re
import stat
import zlib
from collections.abc import Sequence
from pathlib import Path

from tasks.lib.debian import tools
from tasks.lib.errors import BuildError
from tasks.lib.formats import cpio, elf
from tasks.lib.formats.tree import Tree
from tasks.lib.kernel import image
from tasks.lib.kernel.modules import MODULES, SUFFIX, decompress, module_name
from tasks.lib.process import run
from tasks.skeleton import LINKS

NAME = "tinycore"
CONFIGURATION = "tinycore-config"
# Downloads of these names are extensions (.tcz) with modules that the ISO does not have.
EXTENSION = "tinycore-modules"
KERNEL = "boot/vmlinuz64"
ROOT = "boot/corepure64.gz"
EXTENSION_MODULES = "usr/local/lib/modules"
BUSYBOX = "usr/bin/busybox"
LIBRARIES = ("usr/lib", "usr/lib64", "usr/local/lib")
C_LIBRARY = "libc.so.6"
# The parts of the GNU C library, which fit together only when all of them are of one build.
FAMILY = re.compile(
    r"(ld-linux-[\w-]+|libc|libm|libmvec|libpthread|libdl|librt|libresolv|libutil|libanl|libnss_\w+|"
    r"libBrokenLocale|libthread_db)\.so\.\d+"
)
SYMBOL_VERSION = re.compile(rb"\0GLIBC_2\.(\d+)(?=\0)")


def read(iso: Path, wanted: str) -> bytes:
    """One file of the ISO; BuildError when that is none, or has no such file."""
    import pycdlib
    from pycdlib.pycdlibexception import PyCdlibException

    opened, content = pycdlib.PyCdlib(), io.BytesIO()
    try:
        opened.open(str(iso))
    except (PyCdlibException, OSError) as error:
        raise BuildError(
            f"{NAME}: {iso} is no ISO image: {error}", "see downloads in versions.toml"
        ) from error
    try:
        for place in ({"rr_path": f"/{wanted}"}, {"iso_path": plain(wanted)}):
            try:
                opened.get_file_from_iso_fp(content, **place)
                return content.getvalue()
            except PyCdlibException:
                continue
    finally:
        opened.close()
    raise BuildError(f"{NAME}: the ISO has no {wanted}", f"wants a CorePure64 ISO, with {KERNEL} and {ROOT}")


def plain(path: str) -> str:
    """The path as ISO 9660 without extensions has it, level 2 or 3."""
    folder, _, name = path.upper().rpartition("/")
    return f"/{folder}/{name}{'' if '.' in name else '.'};1"


def root(iso: Path) -> Tree:
    """All of the root file system but device files, in the merged /usr.

    It may be several archives behind each other, packed together or each by itself.
    """
    packed = read(iso, ROOT)
    try:
        data = gzip.decompress(packed)
    except (OSError, EOFError, zlib.error) as error:
        raise BuildError(f"{NAME}: {ROOT} is damaged: {error}", "fetch the ISO again") from error
    tree = Tree()
    for path in ("bin", "sbin", "lib", "usr/sbin"):
        tree.add_symlink(path, LINKS[path])
    for member in cpio.read(data, ROOT):
        path, mode = member.path, stat.S_IMODE(member.mode)
        if path in tree and tree[path].kind == "symlink" and path in LINKS:
            continue
        if stat.S_ISREG(member.mode):
            tree.add_file(path, member.content, mode)
        elif stat.S_ISLNK(member.mode):
            tree.add_symlink(path, member.content.decode(errors="replace"))
    return tree


def kernel(
    iso: Path, configuration: Path | None, extensions: Sequence[tuple[str, Path]], scratch: Path
) -> tuple[bytes, bytes, Tree]:
    """Image, configuration and module tree (usr/lib/modules/<release>/).

    configuration: its .config, when versions.toml names one; else it has to be in the image or a module.
    extensions: name and file of those whose modules come along.
    """
    vmlinuz, modules = read(iso, KERNEL), Tree()
    for path, entry in root(iso).items():
        if path.startswith(f"{MODULES}/") and entry.kind == "file":
            modules.add_file(path, entry.read())
    if not modules:
        raise BuildError(f"{NAME}: {ROOT} has no kernel modules", "wants a CorePure64 ISO")
    for name, packed in extensions:
        add_extension(modules, name, packed, scratch / name)
    found = configuration.read_bytes() if configuration else own_configuration(vmlinuz, modules, scratch)
    if found is None:
        raise BuildError(
            f"{NAME}: {KERNEL} does not carry its configuration (CONFIG_IKCONFIG), which the audit needs",
            f"name its .config as downloads.{CONFIGURATION} in versions.toml: docs/providers.md",
        )
    return vmlinuz, found, modules


def add_extension(modules: Tree, name: str, packed: Path, folder: Path) -> None:
    """The modules of an extension, a squashfs image that Tiny Core mounts over /usr/local.

    Raises BuildError when it is none, or has no module for this kernel.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        run([*tools.command("unsquashfs"), "-q", "-n", "-no-xattrs", "-d", folder, packed])
    except BuildError as error:
        why = error.what.splitlines()[-1]
        raise BuildError(
            f"{name}: is no extension (.tcz): {why}", "see downloads in versions.toml"
        ) from error
    release = next(path.split("/")[3] for path in modules if path.count("/") > 3)
    place = folder / EXTENSION_MODULES / release
    found = [path for path in sorted(place.rglob("*")) if SUFFIX.search(path.name) and path.is_file()]
    if not found:
        raise BuildError(
            f"{name}: has no modules of kernel {release}",
            f"wants an extension for it: {EXTENSION_MODULES}/{release}",
        )
    for path in found:
        modules.add_file(f"{MODULES}/{release}/{path.relative_to(place)}", path.read_bytes())


def own_configuration(vmlinuz: bytes, modules: Tree, scratch: Path) -> bytes | None:
    """The .config in the image, or in the module that Linux puts it into with CONFIG_IKCONFIG=m."""
    if found := image.configuration(KERNEL, vmlinuz, scratch):
        return found
    for path, entry in modules.items():
        if entry.kind == "file" and ".ko" in path and module_name(path) == "configs":
            return image.embedded(decompress(path, entry.read()))
    return None


def put_busybox(everything: Tree, source: Tree, folder: str) -> None:
    """Put tinycore's BusyBox, and libraries that only it needs, into a tree of Debian's packages.

    folder: of the libraries there. What both have is taken from there, first of all the C library: a program
    runs with every newer one than that it was linked with, and there can be only one. BuildError when BusyBox
    asks for a newer one than there is.
    """
    if not source.has(BUSYBOX):
        raise BuildError(f"{NAME}: {ROOT} has no bin/busybox", "wants a CorePure64 ISO")
    chosen = [
        path
        for path in elf.closure(source, [BUSYBOX], LIBRARIES)
        if not FAMILY.fullmatch(Path(path).name) and f"{folder}/{Path(path).name}" not in everything
    ]
    for path in chosen:
        check_c_library(path, source, everything, folder)
    everything.add_tree(source.only(chosen.__contains__))


def check_c_library(path: str, source: Tree, everything: Tree, folder: str) -> None:
    """Refuse a file that needs a newer C library than the packages have."""
    wanted = newest_symbols(source[source.resolve(path)].read())
    place = f"{folder}/{C_LIBRARY}"
    present = newest_symbols(everything[everything.resolve(place)].read()) if everything.has(place) else 0
    if wanted > present:
        raise BuildError(
            f"{NAME}: {path} wants the C library of GLIBC_2.{wanted}, the packages have GLIBC_2.{present}",
            "run ./doit lock with a newer suite, or take userland provider debian",
        )


def newest_symbols(data: bytes) -> int:
    """The newest version 2.N of the C library's symbols that an ELF file names, as N; 0 without one."""
    return max((int(number) for number in SYMBOL_VERSION.findall(data)), default=0)
