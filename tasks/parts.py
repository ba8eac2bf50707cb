"""Where the parts of the products come from, for their manifests: packages and Go modules with licences."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tasks import addons, downloads, kernel, kubesolo, payload, python, sources, ssh, userland
from tasks.lib.debian import fetch
from tasks.lib.debian.licences import package_parts
from tasks.lib.debian.lockfile import keyed
from tasks.lib.engine import Build, artifact
from tasks.lib.formats import elf
from tasks.lib.formats.entry import Slice
from tasks.lib.formats.packages import unpack
from tasks.lib.formats.tree import Tree
from tasks.lib.go.modules import CLASSIFIER, GO_SUM, module_parts
from tasks.lib.go.patch import read_patches
from tasks.lib.provider import parts_text, pinned_part, read_parts
from tasks.lib.release import sbom
from tasks.lib.release.description import Origin
from tasks.lib.target import Pinned, Target
from tasks.skeleton import merged

# The packages of the boot set whose files are on the media; the others only help to make them.
LOADERS = ("grub-pc-bin", "isolinux", "syslinux-common")
GRUB = "grub-efi-{arch}-bin"
BOOT_SET = "boot"
# The pause container is one of its programs.
PAUSE_SET = "catatonit"
GO_MARK = b"\xff Go buildinf:"
TAR_MARK = b"ustar"


def loaders(target: Target) -> Path:
    """The list of the boot loaders' parts."""
    return target.folder / "loaders.parts.json"


def payload_parts(target: Target) -> Path:
    """The list of a payload's parts, with those of its images."""
    return target.payload_folder / "parts.json"


def origin(target: Target) -> Origin:
    """Where the parts of a product come from."""
    listings = (
        kernel.parts(target), loaders(target), userland.parts(target), python.parts(target),
        ssh.parts(target), payload_parts(target),
    )  # fmt: skip
    return Origin(listings, target.product_folder / "spdx.json")


def build_sbom(listings: tuple[Path, ...], b: Build) -> None:
    """The bill of materials of whatever product is made of these parts."""
    parts = [part for listing in listings for part in read_parts(listing)]
    b.out.write_text(sbom.template(parts, b.values["version"], b.values["architecture"], b.epoch))


def build_loaders(arch: str, b: Build) -> None:
    """The packages that the boot loaders come from."""
    fetched = fetch.fetch_set(keyed(BOOT_SET, arch), b.progress, b.note)
    b.out.write_text(parts_text(package_parts(fetched, (*LOADERS, GRUB.format(arch=arch)))))


def build_payload(archives: tuple[Path, ...], arch: str, b: Build) -> None:
    """The Go modules that the payload's programs were linked from, and the package of the pause container."""
    programs = []
    for archive in archives:
        programs += go_programs(archive, b.scratch)
    patches = read_patches(payload.PATCHES)
    modules = module_parts(programs, b.scratch, patches, payload.SUFFIX)
    pause = fetch.fetch_set(keyed(PAUSE_SET, arch), b.progress, b.note) if b.values["images"] else []
    names = [package.name for package, _ in pause]
    b.out.write_text(parts_text([*modules, *package_parts(pause, names)]))


def build_release(release: Pinned, helpers: Path, arch: str, b: Build) -> None:
    """A payload that others have compiled is one part; beside it, the packages that its helpers come from."""
    packages, taken = unpack(keyed(kubesolo.SET, arch), merged(), b), Tree()
    taken.add_tar(helpers)
    b.out.write_text(packages.parts({path for path, entry in taken.items() if entry.kind != "dir"}))
    b.out.write_text(parts_text([pinned_part(release), *read_parts(b.out)]))


def go_archives(target: Target) -> tuple[Path, ...]:
    """The tars that hold Go programs."""
    return (payload.archive(target), payload.helpers(target), *addons.preloaded(target))


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


def tasks(target: Target) -> Iterator[dict[str, object]]:
    """Versions and licences of what the products are made of."""
    yield artifact(
        target.task("parts-loaders"),
        doc="versions and licences of the boot loaders, for the manifest",
        build=partial(build_loaders, target.arch.name),
        targets=[loaders(target)],
        files=[sources.listing(BOOT_SET, target.arch)],
        values={"packages": keyed(BOOT_SET, target.arch.name)},
        group=target.group,
    )
    yield release_task(target) if target.payload == kubesolo.NAME else modules_task(target)
    made = origin(target)
    yield artifact(
        target.task("sbom"),
        doc="the parts of the products as an SPDX document, which each product completes",
        build=partial(build_sbom, made.listings),
        targets=[made.sbom],
        files=made.listings,
        values=target.description(),
        group=target.group,
    )


def modules_task(target: Target) -> dict[str, object]:
    """The parts of a payload that is compiled here."""
    archives = go_archives(target)
    return artifact(
        target.task("parts-payload"),
        doc="versions and licences of the payload's Go modules, for the manifest",
        build=partial(build_payload, archives, target.arch.name),
        targets=[payload_parts(target)],
        files=[*archives, sources.listing(PAUSE_SET, target.arch), GO_SUM],
        trees=[CLASSIFIER, payload.MODULE / "patches"],
        values={"images": bool(addons.preloaded(target))},
        group=target.group,
    )


def release_task(target: Target) -> dict[str, object]:
    """The parts of a payload that is a release of others."""
    release = target.pinned(kubesolo.NAME)
    helpers = payload.helpers(target)
    return artifact(
        target.task("parts-payload"),
        doc="version and licence of the payload's release, for the manifest",
        build=partial(build_release, release, helpers, target.arch.name),
        targets=[payload_parts(target)],
        files=[helpers, downloads.record(release), sources.listing(kubesolo.SET, target.arch)],
        values={"packages": keyed(kubesolo.SET, target.arch.name)},
        group=target.group,
    )
