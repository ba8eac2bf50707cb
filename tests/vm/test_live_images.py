"""The Live CD's roots as disks: each boots by itself, and takes a seed."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest

from dodo import LIVE
from tasks import liverootfs
from tasks.lib.debian import tools
from tasks.lib.paths import TOP
from tasks.lib.process import run
from tests.vm import live
from tests.vm.conftest import Start
from tests.vm.live import LiveNode
from tests.vm.shell import Key

SECONDS = 3600
LARGER = "12G"

pytestmark = [pytest.mark.long, pytest.mark.timeout(SECONDS)]


@pytest.mark.parametrize(
    ("name", "firmware", "programs"),
    [
        ("rootfs", "uefi", ["nft --version", "htop --version"]),
        ("rootfs-k8s", "bios", ["kubeadm version", "crictl info", "kubelet --version"]),
    ],
)
def test_a_root_boots_by_itself(
    start: Start, tmp_path: Path, name: str, firmware: Literal["bios", "uefi"], programs: list[str]
) -> None:
    """On a copy that takes the writes, which is larger: the root grows."""
    run([sys.executable, "-m", "tasks", f"live-{name}-disk"], cwd=TOP)
    disk, image = tmp_path / "disk.qcow2", liverootfs.output(LIVE, f"{name}.qcow2")
    words: list[str | Path] = ["create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", image, disk, LARGER]
    run([*tools.command("qemu-img", set="qemu"), *words])
    key = Key.make(tmp_path)
    described = live.hardware(disk, live.write_seed(tmp_path, key), disk)
    described = replace(described, cdrom=None, data_format="qcow2", firmware=firmware)
    node = LiveNode(start(described, SECONDS), key)
    node.wait_session()
    assert node.run("findmnt -no FSTYPE,LABEL /").split() == ["ext4", "K8SROOT"]
    for program in programs:
        node.run(program)
    node.run("cloud-init status --wait")
    assert int(node.run("findmnt -nbo SIZE /")) > 10 << 30, "grown with the disk"
    assert node.run("systemctl list-units --failed --plain --no-legend").strip() == ""
    node.run("echo kept > /root/file")
    node.reboot()
    assert node.run("cat /root/file").strip() == "kept"
