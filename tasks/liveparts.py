"""Where the programs and images of the Live CD's Kubernetes layer come from: modules, packages, downloads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path, PurePosixPath

from tasks import addons, live, livecomponents, liverootfs, sources
from tasks.lib.config import Component
from tasks.lib.debian import fetch
from tasks.lib.debian.licences import package_parts
from tasks.lib.debian.lockfile import keyed
from tasks.lib.engine import Build, artifact
from tasks.lib.go.modules import CLASSIFIER, module_parts
from tasks.lib.provider import NOASSERTION, Part, parts_text
from tasks.lib.target import Target
from tasks.parts import PAUSE_SET, go_programs


def build(
    archives: tuple[Path, ...], downloads: tuple[tuple[str, str, str], ...], arch: str, b: Build
) -> None:
    """List the Go modules that programs were linked from, the packages, and what was downloaded.

    downloads: name, address and SHA-256.
    """
    programs = []
    for archive in archives:
        programs += go_programs(archive, b.scratch)
    modules = module_parts(programs, b.scratch)
    packages = []
    present = {package.name for package in fetch.packages(liverootfs.SET)}
    for name in (livecomponents.PACKAGES, keyed(PAUSE_SET, arch)):
        fetched = fetch.fetch_set(name, b.progress, b.note)
        packages += package_parts(fetched, [one.name for one, _ in fetched if one.name not in present])
    files = [
        Part(name, "file", PurePosixPath(url).name, url, sha256, NOASSERTION)
        for name, url, sha256 in downloads
    ]
    b.out.write_text(parts_text([*modules, *packages, *files]))


def tasks(target: Target, downloads: Mapping[str, Component]) -> Iterator[dict[str, object]]:
    """The list."""
    names = (*livecomponents.NODE, *livecomponents.CONTROL_PLANE)
    archives = (*(livecomponents.archive(target, name) for name in names), addons.coredns(target))
    given = tuple((name, one.url, one.sha256) for name, one in sorted(downloads.items()))
    yield artifact(
        target.task("live-parts"),
        doc="Live CD: versions and licences of its Kubernetes layer, for the manifest",
        build=partial(build, archives, given, target.arch.name),
        targets=[live.parts(target)[2]],
        files=[
            *archives,
            sources.listing(livecomponents.PACKAGES),
            sources.listing(liverootfs.SET),
            sources.listing(PAUSE_SET, target.arch),
        ],
        trees=[CLASSIFIER],
        values={"packages": livecomponents.PACKAGES},
        group=target.group,
    )
