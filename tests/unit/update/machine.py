"""A node whose slots and first partition are folders, so that an update needs no disk."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from agent import grubenv
from agent.update import boot, slot
from agent.update.conf import Conf
from agent.update.manifest import KERNEL
from agent.update.slot import Disk
from agent.update.updater import Updater
from tests.updates import bundle

SLOTS = {"vda2": "A", "vda3": "B"}
GOOD = {"active_slot": "A", "boot_counter": "3", "boot_success": "1"}
OLD = {"vmlinuz": b"kernel 1", "kubesolo-os.gz": b"init 1" * 1000, "root.squashfs": bytes(range(256)) * 400}
NEW = {**OLD, "kubesolo-os.gz": b"init 2" * 1000, "overlay.squashfs": b"overlay 2" * 20_000}


@dataclass
class FakeNode:
    """The node; running: its slot."""

    root: Path
    running: str = "A"
    said: list[str] = field(default_factory=list)

    @property
    def disk(self) -> Disk:
        return Disk("vda", self.running, {1: "vda1", 2: "vda2", 3: "vda3", 4: "vda4"})

    def slot(self, name: str) -> Path:
        """The folder that stands for a slot's file system."""
        return self.root / "slots" / name

    @property
    def esp(self) -> Path:
        return self.root / "esp"

    def environment(self) -> dict[str, str]:
        return grubenv.read(self.esp / boot.GRUBENV)

    def set_environment(self, **values: str) -> None:
        (self.esp / boot.GRUBENV).write_bytes(grubenv.render({**self.environment(), **values}))

    def content(self, name: str) -> dict[str, bytes]:
        """What a slot holds, without its list."""
        return {path.name: path.read_bytes() for path in self.slot(name).iterdir() if path.name != slot.LIST}

    def updater(self, conf: Conf, *, force: bool = False) -> Updater:
        return Updater(self.root, conf, force, self.said.append)

    def starts(self, name: str) -> bool:
        """Whether GRUB would start a slot."""
        return (self.slot(name) / KERNEL).exists()


def fill(folder: Path, version: str, files: dict[str, bytes]) -> None:
    """A slot as an image has it."""
    import hashlib

    folder.mkdir(parents=True)
    rows = {
        name: {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in files.items()
    }
    for name, data in files.items():
        (folder / name).write_bytes(data)
    about = {"schema": 1, "name": "kubesolo-os", "version": version, "architecture": "amd64", "files": rows}
    (folder / slot.LIST).write_text(json.dumps(about))


def make(root: Path, monkeypatch: pytest.MonkeyPatch) -> FakeNode:
    """A node of version 0.1.0 in both slots, which runs from A and trusts the tests' key."""
    node = FakeNode(root)
    release = root / "usr/lib/os-release"
    release.parent.mkdir(parents=True)
    release.write_text('VERSION_ID="0.1.0"\nARCHITECTURE="amd64"\n')
    keys = root / "usr/lib/kubesolo-os/update-keys"
    keys.mkdir(parents=True)
    (keys / "release.pub").write_text(f"# tests\n{bundle.public()}\n")
    for name in SLOTS.values():
        fill(node.slot(name), "0.1.0", OLD)
    for device in SLOTS:
        size = root / "sys/class/block" / device / "size"
        size.parent.mkdir(parents=True)
        size.write_text("1048576\n")
    (node.esp / "grub").mkdir(parents=True)
    grubenv.create(node.esp / boot.GRUBENV, GOOD)

    @contextmanager
    def mounted(_: Path, device: str, __: str, *, write: bool) -> Iterator[Path]:
        yield node.slot(SLOTS[device])

    @contextmanager
    def environment(_: Path, __: Disk) -> Iterator[Path]:
        yield node.esp

    monkeypatch.setattr(slot, "mounted", mounted)
    monkeypatch.setattr(slot, "prepare", lambda *_: None)
    monkeypatch.setattr(slot, "find_disk", lambda _: node.disk)
    monkeypatch.setattr(boot, "environment", environment)
    return node
