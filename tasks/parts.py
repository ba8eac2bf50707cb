"""Where the parts of the products come from, for their manifests: packages and Go modules with licences."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tasks import payload, rootfs, sources
from tasks.lib.config import load_config
from tasks.lib.debian import fetch
from tasks.lib.debian.licences import package_parts
from tasks.lib.engine import Build, artifact
from tasks.lib.formats import elf
from tasks.lib.formats.tree import Slice, Tree
from tasks.lib.go.modules import GO_SUM, module_parts
from tasks.lib.paths import BUILD
from tasks.lib.release.manifest import parts_text

MEDIA = BUILD / "media.parts.json"
# The packages of the boot set whose files are on the media; the others only help to make them.
LOADERS = ("isolinux", "syslinux-common", "grub-efi-amd64-bin")
BOOT_SET = "boot"
# The pause container is one of its programs.
PAUSE_SET = "catatonit"
GO_MARK = b"\xff Go buildinf:"
TAR_MARK = b"ustar"


def payload_parts(provider: str) -> Path:
    """The list of a payload provider's parts."""
    return BUILD / f"payload-{provider}.parts.json"


def build_media(flavour: str, b: Build) -> None:
    """The packages that the kernel and the boot loaders come from."""
    kernel = fetch.fetch_set(f"kernel-{flavour}", b.progress, b.note)
    real = [package.name for package, _ in kernel if package.name.startswith("linux-image-6")]
    loaders = fetch.fetch_set(BOOT_SET, b.progress, b.note)
    b.out.write_text(parts_text([*package_parts(kernel, real), *package_parts(loaders, LOADERS)]))


def build_payload(provider: str, b: Build) -> None:
    """The Go modules that the payload's programs were linked from, and the package of the pause container."""
    programs = []
    for archive in go_archives(provider):
        programs += go_programs(archive, b.scratch)
    pause = fetch.fetch_set(PAUSE_SET, b.progress, b.note) if rootfs.preloaded(provider) else []
    names = [package.name for package, _ in pause]
    b.out.write_text(parts_text([*module_parts(programs), *package_parts(pause, names)]))


def go_archives(provider: str) -> list[Path]:
    """The tars that hold Go programs."""
    return [payload.archive(provider), payload.helpers(provider), *rootfs.preloaded(provider)]


def go_programs(archive: Path, scratch: Path) -> list[Path]:
    """Copies of the Go programs in a tar, and in the tars inside it, such as an OCI image's layers."""
    tree = Tree()
    tree.add_tar(archive)
    found = []
    for path, entry in tree.items():
        if entry.kind != "file" or not isinstance(entry.content, Slice):
            continue
        data = entry.read()
        copy = scratch / f"{archive.stem}-{path.replace('/', '-')}"
        if data.startswith(elf.MAGIC) and GO_MARK in data:
            copy.write_bytes(data)
            found.append(copy)
        elif data[257:262] == TAR_MARK:
            copy.write_bytes(data)
            found += go_programs(copy, scratch)
    return found


def task_parts() -> Iterator[dict[str, object]]:
    """Versions and licences of what the products are made of."""
    config = load_config()
    flavour, provider = config.kernel.flavour, config.payload.provider
    yield artifact(
        "parts-media",
        doc="versions and licences of kernel and boot loaders, for the manifest",
        build=partial(build_media, flavour),
        targets=[MEDIA],
        files=[sources.listing(f"kernel-{flavour}"), sources.listing(BOOT_SET)],
        values={"flavour": flavour},
    )
    yield artifact(
        "parts-payload",
        doc="versions and licences of the payload's Go modules, for the manifest",
        build=partial(build_payload, provider),
        targets=[payload_parts(provider)],
        files=[*go_archives(provider), sources.listing(PAUSE_SET), GO_SUM],
        values={"provider": provider},
    )
