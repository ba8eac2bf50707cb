"""Every key of versions.toml and every kind of input in turn: exactly what depends on it becomes stale."""

from __future__ import annotations

import importlib
import inspect
import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from doit.control import TaskControl
from doit.loader import generate_tasks
from doit.task import Task

from tasks import live
from tasks.lib import config
from tasks.lib.debian import lockfile, tools
from tasks.lib.engine.loader import connect
from tasks.lib.engine.records import artifact_of
from tasks.lib.errors import BuildError
from tasks.lib.paths import TOP
from tests.foreign.configuration import configured

VERSIONS = (TOP / "versions.toml").read_text()
LOCK = (TOP / "versions.lock").read_text()


def load_tasks() -> dict[str, Task]:
    """The graph as dodo.py describes it now."""
    dodo = importlib.reload(importlib.import_module("dodo"))
    tasks: list[Task] = []
    for name, creator in vars(dodo).items():
        if name.startswith("task_") and inspect.isfunction(creator):
            tasks.extend(generate_tasks(name.removeprefix("task_"), creator(), creator.__doc__))
    connect(tasks)
    graph: dict[str, Task] = TaskControl(tasks).tasks
    return graph


def described(graph: dict[str, Task]) -> dict[str, Any]:
    """All that a task's record is compared with, except for content of files and code."""
    found = {}
    for name, task in graph.items():
        spec = artifact_of(task)
        assert spec is not None
        digests = [tools.digest(tool) for tool in spec.tools]
        found[name] = (spec.inputs, spec.targets, spec.values, digests, getattr(spec.build, "args", ()))
    return found


def changed(before: dict[str, Any], after: dict[str, Any]) -> set[str]:
    return {name for name in {*before, *after} if before.get(name) != after.get(name)}


class Sources:
    """The graph under other versions.toml and versions.lock files."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self._versions = folder / "versions.toml"
        self._lock = folder / "versions.lock"
        self._versions.write_text(VERSIONS)
        self._lock.write_text(LOCK)
        monkeypatch.setattr(config, "CONFIG", self._versions)
        monkeypatch.setattr(lockfile, "LOCK", self._lock)
        self._before = described(load_tasks())

    def stale(self, versions: str = VERSIONS, locked: str = LOCK) -> set[str]:
        """Which tasks are described otherwise with these texts."""
        self._versions.write_text(versions)
        self._lock.write_text(locked)
        return changed(self._before, described(load_tasks()))


@pytest.fixture
def sources(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Sources:
    return Sources(monkeypatch, tmp_path)


def edited(key: str, value: str) -> str:
    """versions.toml with another value of one key."""
    section, _, name = key.rpartition(".")
    head, found, rest = VERSIONS.partition(f"[{section}]\n")
    assert found, section
    text, count = re.subn(rf"^{name} = (\[[^\]]*\]|.*)$", f"{name} = {value}", rest, count=1, flags=re.M)
    assert count == 1, key
    return head + found + text


# Every target but the first, as names of its tasks end: what only tests want.
OTHERS = ("stub", "next", "stub-next")


def of(*nouns: str, others: tuple[str, ...] = OTHERS) -> set[str]:
    """The tasks of these nouns, of the product and of other targets."""
    return {*nouns, *(f"{noun}-{label}" for noun in nouns for label in others)}


# What a key has to do with directly; what is made from that follows by content.
UNDATED = {
    "kernel-audit",
    "parts-loaders",
    "parts-payload",
    "parts-payload-stub",
    "checksums",
    *("disk-zst", "disk-qcow2", "live-parts", "conformance-suite", "test-tools"),
}  # nothing of theirs has a date
OF_FLAVOUR = {
    *("kernel", "kernel-audit", "modules", "rootfs", "rootfs-drivers", "initramfs-drivers"),
    *of("initramfs", "update-bundle"),
    *of("iso", "disk-image", "sbom", others=("stub",)),
}
# With the stub as the product's payload, what the tests' stubs are made of is that of the other targets.
OF_PAYLOAD = {
    *of("image-coredns", "image-pause", others=("live",)),
    *("iso", "disk-image", "sbom"),
    *of("payload", "parts-payload", "rootfs-payload", "rootfs-containers", others=("stub",)),
    *of("initramfs", "update-bundle", others=("next", "stub-next")),
}
# Those that have the next version in tests keep it.
OF_VERSION = {
    *of("iso", "disk-image", "sbom", "rootfs-overlay", "initramfs", "update-bundle", others=("stub",)),
    *("checksums", "diskboot", "disk-zst", "disk-qcow2"),
    *("live-iso", "live-sbom", "live-rootfs", "live-rootfs-disk", "live-kubernetes", "live-rootfs-k8s-disk"),
}
OF_UPDATES = of("update-bundle")
COMPONENTS = tomllib.loads(VERSIONS)["live"]["components"]
DOWNLOAD = f'{{ url = "http://mirror.example/x", sha256 = "{"ab" * 32}" }}'
KEYS: dict[str, tuple[str, set[str]]] = {
    "os.version": ('"9.9.9"', OF_VERSION),
    "debian.drift": ('"forbid"', set()),
    "debian.foreign": ("[]", set()),
    "debian.snapshots": ('["http://mirror.example/debian"]', set()),
    "payload.provider": ('"stub"', OF_PAYLOAD),
    "kernel.flavour": ('"cloud"', OF_FLAVOUR | {"kernel-live"}),
    "update.channel": ('"beta"', OF_UPDATES),
    "update.keys": (f'["{"ab" * 32}"]', OF_UPDATES | of("rootfs-overlay", others=("stub", "next"))),
    "update.min_compatible_version": ('"0.0.9"', OF_UPDATES),
    "update.floor": ('"0.0.9"', OF_UPDATES),
    "update.valid_days": ("30", OF_UPDATES),
    "update.notes": ('"faster"', OF_UPDATES),
    "live.kernel.flavour": ('"cloud"', {"live-kernel", "kernel-live"}),
    **{f"live.components.{name}": (DOWNLOAD, {f"live-{name}", "live-parts"}) for name in COMPONENTS},
}
# These come into a build through versions.lock alone: until it agrees, there is no build.
RELOCK = {"debian.suite": '"forky"'} | {
    f"packages.{name}.names": '["cowsay"]' for name in tomllib.loads(VERSIONS)["packages"]
}
# Providers that are made of downloads have a test of their own; `depends` is for ./doit lock.
NOT_TRIED = {
    *(f"downloads.{name}" for name in tomllib.loads(VERSIONS)["downloads"]),
    "userland.provider",
    "kernel.provider",
    "live.kernel.provider",
    *(f"packages.{name}.runs" for name in ("kernel-source", "live", "live-kubernetes", "mmdebstrap")),
    "packages.mmdebstrap.depends",
    *(f"packages.{name}.runs" for name in ("binutils", "parted", "tools", "qemu", "tests")),
    "packages.boot.amd64",
    *(f"packages.{name}.depends" for name in ("kernel-default", "kernel-cloud", "catatonit")),
    *(
        f"packages.{name}.{key}"
        for name in ("zchunk", "casync", "skopeo", "registry")
        for key in ("runs", "depends")
    ),
}


def test_every_key_is_in_the_table() -> None:
    found = set()
    for section, keys in tomllib.loads(VERSIONS).items():
        for key, value in keys.items():
            found |= (
                {f"{section}.{key}.{name}" for name in value}
                if section in ("packages", "live")
                else {f"{section}.{key}"}
            )
    assert found == {"os.epoch", *KEYS, *RELOCK, *NOT_TRIED}


def test_keys_of_versions_toml(sources: Sources) -> None:
    assert sources.stale() == set()
    for key, (value, expected) in KEYS.items():
        assert sources.stale(edited(key, value)) == expected, key


def other_providers(**digests: str) -> str:
    """versions.toml with everything from elsewhere."""
    return configured(VERSIONS, {name: (f"file:///x/{name}", digest) for name, digest in digests.items()})


def test_other_providers_are_a_matter_of_configuration(sources: Sources) -> None:
    """Nothing is compiled any more; kernel, userland and payload are made of downloads, which are tasks."""
    stale = sources.stale(other_providers(kubesolo="0" * 64, tinycore="1" * 64))
    fetched = {"sources-kubesolo-000000000000", "sources-tinycore-111111111111"}
    assert stale >= {
        *(*fetched, "kernel", "modules", "kernel-audit", "userland", "payload"),
        *("parts-payload", "iso", "disk-image"),
    }
    graph = load_tasks()
    assert "image-coredns" not in graph
    inputs = {name: described(graph)[name][0] for name in ("kernel", "userland", "payload", "iso")}
    record = "build/sources/tinycore-111111111111.download.json"
    assert record in inputs["kernel"]
    assert record in inputs["userland"]
    assert any(path.endswith("audit-iptables.txt") for path in inputs["iso"])


def test_a_provider_without_its_digest_is_named(sources: Sources) -> None:
    with pytest.raises(BuildError, match=r"versions\.toml: downloads\.kubesolo\.amd64: is missing"):
        sources.stale(other_providers(tinycore="1" * 64))


@pytest.mark.parametrize("section", ["payload", "userland", "kernel"])
def test_an_unknown_provider_is_named(sources: Sources, section: str) -> None:
    with pytest.raises(
        BuildError, match=rf"versions\.toml: {section}\.provider: 'gentoo' is unknown"
    ) as caught:
        sources.stale(edited(f"{section}.provider", '"gentoo"'))
    assert caught.value.hint.startswith("known: ")


def test_date_of_everything(sources: Sources) -> None:
    expected = {name for name in load_tasks() if not name.startswith("sources-")} - UNDATED
    assert sources.stale(edited("os.epoch", "1795219201")) == expected


def test_lock_that_does_not_agree(sources: Sources) -> None:
    for key, value in RELOCK.items():
        with pytest.raises(BuildError, match=r"versions.lock has.*run ./doit lock"):
            sources.stale(edited(key, value))


LIVE_DISKS = {"live-rootfs-disk", "live-rootfs-k8s-disk"}
USERS_OF_TOOLS = {
    "binutils": {"modules", "live-drivers"},
    "boot": {
        "diskboot",
        "efi-image",
        "iso",
        "iso-stub",
        "live-cd-image",
        "live-efi-image",
        "live-iso",
        *LIVE_DISKS,
    },
    "mmdebstrap": {"live-debian"},
    "parted": {"agent", "disk-image", "disk-image-stub", "python", *LIVE_DISKS},
    "qemu": {"disk-qcow2", *LIVE_DISKS},
    "tools": {
        *("diskboot", "disk-image", "disk-image-stub", "disk-zst"),
        *("efi-image", "initramfs-drivers", "modules", "ssh", "conformance-images"),
        *of("initramfs"),
        *("live-cd-image", "live-drivers", "live-efi-image", "live-kernel", *LIVE_DISKS),
        *(f"live-image-{layer}" for layer in live.LAYERS),
        *("live-initramfs", "live-initramfs-disk", "live-initramfs-drivers"),
    },
    "zchunk": of("update-bundle"),
}


def test_packages_of_the_lock(sources: Sources) -> None:
    """A new build of one package, of those that the fewest sets have."""
    sets: dict[str, list[str]] = json.loads(LOCK)["sets"]
    for name, members in sets.items():
        if ":" in name:  # of an architecture that nothing is built for here
            continue
        homes = {
            member: [home for home in sets if member in sets[home] and ":" not in home] for member in members
        }
        package = min(members, key=lambda member: len(homes[member]))
        document = json.loads(LOCK)
        for record in document["packages"]:
            if record["name"] == package:
                record["sha256"] = "0" * 64
        expected = {f"sources-{home}" for home in homes[package]}
        expected = expected.union(*(USERS_OF_TOOLS.get(home, set()) for home in homes[package]))
        if "tools" in homes[package]:
            expected |= {task for task in load_tasks() if task.startswith("rootfs")}
        assert sources.stale(locked=json.dumps(document)) == expected, name


LIVE_START = {"live-initramfs", "live-initramfs-disk"}
FOLDERS = {
    "init/init": of("initramfs"),
    "init/stages/50-network.sh": of("initramfs"),
    "init/lib/log.sh": of("initramfs") | LIVE_START,
    "live/init/disk.sh": LIVE_START,
    "live/base/etc/hostname": {"live-config", "live-rootfs", "live-rootfs-disk"},
    "live/kubernetes/etc/kubernetes/kubeadm.yaml": {"live-config"},
    "live/overlay/usr/lib/k8s-livecd/cluster": {"live-config"},
    "live/programs/go.sum": {f"live-{name}" for name in COMPONENTS},
    "overlay/etc/inittab": of("rootfs-overlay", others=("stub", "next")),
    "overlay/usr/lib/kubesolo-os/functions.sh": of("rootfs-overlay", others=("stub", "next")),
    "agent/status.py": {"agent"},
    "tasks/python.toml": {"python", "rootfs-python"},
    "kernel/audit.toml": {"kernel-audit"},
    "kernel/default.modules": {"modules"},
    "kernel/initramfs.modules": {"modules", "live-drivers"},
    "payload/main.go": {"payload"},
    "payload/go.sum": {"payload", "parts-payload", "parts-payload-stub"},
    "payload/stub/kubesolo": {"payload-stub"},
    "payload/images/coredns/main.go": {"image-coredns"},
    "tasks/userland.toml": {"userland"},
    "tests/images/nginx/nginx.conf": {"test-images", "conformance-images"},
    "tests/conformance/go.mod": {"conformance-images", "conformance-suite"},
    "tests/conformance/images": {"conformance-images"},
    "tests/helm/go.mod": {"test-tools"},
    "README.md": set(),
    "docs/design.md": set(),
    "tests/unit/test_dependence.py": set(),
    ".ci/run": set(),
}


def test_files() -> None:
    graph = load_tasks()
    for file, expected in FOLDERS.items():
        assert (TOP / file).exists(), file
        users = {
            name
            for name, task in graph.items()
            if any(f"{file}/".startswith(f"{path}/") for path in task.file_dep)
        }
        assert users == expected, file


def test_recipes_that_use_packages_may_ask_the_lock() -> None:
    """The engine lets a recipe look at the lock that declares something of it; all others it refuses."""
    for name, task in load_tasks().items():
        spec = artifact_of(task)
        packages = [path for path in spec.inputs if path.startswith("build/sources/")] if spec else []
        assert not packages or (spec and (spec.values or spec.tools)), name
