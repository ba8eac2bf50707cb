"""The update bundle: what a server, a folder or a stick holds for nodes to update themselves from.

Its signature is no part of it: ./doit sign is a step of its own, as the key is no input of a build.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path

from tasks.bootset import boot_set
from tasks.lib.config import Update
from tasks.lib.engine import Build, artifact
from tasks.lib.engine.spec import relative
from tasks.lib.paths import OUTPUT
from tasks.lib.release import chunks, updatemanifest
from tasks.lib.release.updatemanifest import INDEX, Release
from tasks.lib.target import Target

LATEST = "latest.json"


def bundle(target: Target) -> Path:
    """The folder of the target's manifests, as addresses on the server go on: <channel>/<architecture>."""
    top = target.product_folder if target.for_tests else OUTPUT
    return top / "update" / target.update.channel / target.arch.name


def files(target: Target) -> dict[str, Path]:
    """What a slot holds, by name."""
    parts = boot_set(target)
    return {"vmlinuz": parts.kernel, **parts.own()}


def targets(target: Target) -> list[Path]:
    """The manifest under both of its names, then each file and the index of its chunks."""
    folder = bundle(target)
    place = folder / target.version
    found = [folder / LATEST, folder / f"{target.version}.json"]
    for name in files(target):
        found += [place / name, place / f"{name}.{INDEX}"]
    return found


def build(sources: tuple[tuple[str, Path], ...], b: Build) -> None:
    """Copy the files, cut them, and describe both."""
    latest, same, *rest = b.outs
    described = {}
    for number, (name, source) in enumerate(sources):
        b.progress(number, len(sources), "files")
        copy, index = rest[2 * number : 2 * number + 2]
        shutil.copyfile(source, copy)
        index.write_text(chunks.index(copy, b.scratch))
        described[name] = (copy, index)
    values = b.values
    update = Update(**{**values["update"], "keys": tuple(values["update"]["keys"])})
    text = updatemanifest.text(Release(values["version"], values["architecture"], b.epoch, update), described)
    latest.write_text(text, encoding="utf-8")
    same.write_text(text, encoding="utf-8")


def tasks(target: Target) -> Iterator[dict[str, object]]:
    """The bundle."""
    sources = files(target)
    yield artifact(
        target.task("update-bundle"),
        doc=f"{relative(bundle(target))}: what nodes update themselves from; to be signed with ./doit sign",
        build=partial(build, tuple(sources.items())),
        targets=targets(target),
        files=sources.values(),
        values={**target.description(), "update": asdict(target.update)},
        tools=[chunks.SET],
        group="tests" if target.for_tests else "products",
    )
