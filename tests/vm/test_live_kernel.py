"""The Live CD with a kernel from source: everything built in, by configuration alone."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.long.checkout import copy_sources
from tests.vm import live
from tests.vm.conftest import Start
from tests.vm.live import LiveNode
from tests.vm.shell import Key

BUILD_SECONDS = 7200
MACHINE_SECONDS = 3600
PROVIDER = '[live.kernel]\nprovider = "debian"'
# Named by what loads modules at boot: systemd, kubeadm, containerd, kube-proxy.
NAMES = "overlay br_netfilter nf_conntrack ip_tables nf_tables vxlan virtio_net ext4"

pytestmark = [pytest.mark.long, pytest.mark.timeout(BUILD_SECONDS + MACHINE_SECONDS)]


@pytest.fixture(scope="module")
def medium(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ISO: ./doit live-iso in a copy of this checkout, with the user's own cache."""
    top = tmp_path_factory.mktemp("source") / "checkout"
    top.mkdir()
    copy_sources(top)
    versions = top / "versions.toml"
    text = versions.read_text()
    assert PROVIDER in text
    versions.write_text(text.replace(PROVIDER, PROVIDER.replace("debian", "source")))
    built = subprocess.run(
        [top / "doit", "live-iso"],
        cwd=top,
        capture_output=True,
        text=True,
        timeout=BUILD_SECONDS,
        check=False,
    )
    assert built.returncode == 0, built.stdout[-5000:] + built.stderr[-5000:]
    [iso] = (top / "output").glob("*.iso")
    return iso


def test_a_kernel_without_modules_starts_everything(medium: Path, start: Start, tmp_path: Path) -> None:
    key = Key.make(tmp_path)
    seed, disk = live.write_seed(tmp_path, key), live.blank_disk(tmp_path / "disk.img")
    node = LiveNode(start(live.hardware(medium, seed, disk), MACHINE_SECONDS), key)
    node.wait_session()
    assert node.run("uname -r").strip().endswith("-source")
    assert node.run("cat /proc/modules; find /usr/lib/modules -name '*.ko*'") == ""
    node.run(f"modprobe -a {NAMES}")
    assert "[live-init] what is written is kept on /dev/vda" in node.machine.serial.text()
    node.run("cloud-init status --wait")
    assert node.run("systemctl list-units --failed --plain --no-legend").strip() == ""
    assert '"status": true' in node.run("crictl info")
    said = node.run("kubeadm init phase preflight --config /etc/kubernetes/kubeadm.yaml 2>&1", 600)
    assert "[ERROR" not in said, "what kubeadm checks of the kernel"


def test_its_manifest_names_the_source(medium: Path) -> None:
    assert '"linux-source-6' in medium.with_name(f"{medium.name}.manifest.json").read_text()
