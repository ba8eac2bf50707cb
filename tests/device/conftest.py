"""Fixtures of the device tests: the node's BusyBox, a fake root, data disks."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tasks.lib.debian import tools
from tests.device.fakeroot import FakeRoot

DISK_KIB = 8192


@pytest.fixture(scope="session")
def busybox() -> Path:
    return tools.tree("tools") / "usr/bin/busybox"


@pytest.fixture
def root(tmp_path: Path, busybox: Path) -> FakeRoot:
    return FakeRoot(tmp_path / "root", busybox)


@pytest.fixture(scope="session")
def data_disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cleanly unmounted ext4 file system labelled KSOLODATA that fills DISK_KIB."""
    path = tmp_path_factory.mktemp("disk") / "data.img"
    options = ["-q", "-F", "-t", "ext4", "-L", "KSOLODATA", "-U", "01234567-89ab-cdef-0123-456789abcdef"]
    command = [*tools.command("mke2fs"), *options, str(path), f"{DISK_KIB}k"]
    subprocess.run(command, check=True, env=tools.environment("tools"), capture_output=True)
    return path
