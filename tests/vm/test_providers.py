"""A product of others' parts boots: CorePure64's kernel and BusyBox, and KubeSolo's release as payload.

Neither can be had here. The archives are laid out as theirs and hold this project's kernel and BusyBox, and a
payload of a few lines; that every path from versions.toml to the running node is gone is what is tested.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from dodo import TARGET
from tasks import kernel
from tasks.lib.debian import tools
from tasks.lib.formats.tree import Tree
from tasks.lib.vm.disks import write_data_disk
from tasks.lib.vm.hardware import Hardware
from tests.foreign import archives
from tests.foreign.configuration import configured
from tests.long.checkout import copy_sources
from tests.vm.conftest import Start
from tests.vm.node import LAST_STAGE, wait_booted, wait_log, wait_milestones

BUILD_SECONDS = 1500
MACHINE_SECONDS = 900
DISK_MIB = 128
# What the release's kube-proxy does first: rules with comments, in a chain of its own.
PROGRAM = b"""#!/bin/sh
echo "release: started with $* GOGC=${GOGC:-unset}"
nat='iptables -w 5 -t nat'
$nat -N KUBE-TEST && $nat -A KUBE-TEST -p tcp -m comment --comment it -m conntrack --ctstate NEW -j MASQUERADE
echo "release: iptables says: $(iptables-save -t nat | grep -- '-A KUBE-TEST')"
echo "release: $(ip6tables-restore --version), applets: $(nsenter --help 2>&1 | head -n 1)"
until [ -s /run/kubesolo/payload.health ]; do sleep 1; done
echo "release: whoever looks says: $(cat /run/kubesolo/payload.health)"
trap 'echo release: asked to stop; exit 0' TERM
while :; do sleep 1; done
"""
MARKS = ("modules.builtin", "modules.builtin.modinfo", "modules.order")

pytestmark = [pytest.mark.long, pytest.mark.timeout(BUILD_SECONDS + MACHINE_SECONDS)]


def foreign(folder: Path) -> Mapping[str, tuple[str, str]]:
    """The archives: address and SHA-256 of each by its name in versions.toml."""
    modules = Tree()
    modules.add_tar(kernel.modules(TARGET))
    wanted = modules.only(lambda path: path.endswith((".ko", *MARKS)))
    release = next(path.split("/")[3] for path in wanted if path.count("/") > 3)
    busybox = archives.lacking(Path(tools.command("busybox")[-1]).read_bytes())
    root = archives.packed(archives.root(busybox), archives.modules(wanted, release))
    configuration = folder / "config"
    configuration.write_bytes(kernel.configuration(TARGET).read_bytes())
    made = {
        "kubesolo": archives.release(folder / "kubesolo-v1.1.9-linux-amd64-offline.tar.gz", PROGRAM),
        "tinycore": archives.corepure(
            folder / "CorePure64-17.0.iso",
            {"vmlinuz64": kernel.vmlinuz(TARGET).read_bytes(), "corepure64.gz": root},
        ),
        "tinycore-config": configuration,
    }
    return {name: (path.as_uri(), archives.digest(path)) for name, path in made.items()}


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ISO, by configuration alone: ./doit iso in a copy of this checkout, with the user's own cache."""
    folder = tmp_path_factory.mktemp("providers")
    top = folder / "checkout"
    top.mkdir()
    copy_sources(top)
    versions = top / "versions.toml"
    versions.write_text(configured(versions.read_text(), foreign(folder)))
    built = subprocess.run(
        [top / "doit", "iso"], cwd=top, capture_output=True, text=True, timeout=BUILD_SECONDS, check=False
    )
    assert built.returncode == 0, built.stdout[-5000:] + built.stderr[-5000:]
    [iso] = (top / "output").glob("*.iso")
    return iso


def test_a_product_of_others_parts_boots(product: Path, start: Start, tmp_path: Path) -> None:
    disk = tmp_path / "data.img"
    write_data_disk(disk, DISK_MIB)
    machine = start(Hardware(cdrom=product, data=disk), MACHINE_SECONDS)
    assert LAST_STAGE in wait_booted(machine, 120)
    wait_milestones(machine, ("payload-start",), 60)
    log = wait_log(machine, "release: whoever looks", 180)
    assert "release: started with --path /var/lib/kubesolo --local-storage" in log
    assert "GOGC=unset" in log
    assert "-A KUBE-TEST -p tcp -m comment --comment it -m conntrack --ctstate NEW -j MASQUERADE" in log
    assert "ip6tables-restore v1." in log
    assert "(nf_tables), applets: BusyBox" in log
    assert "admin.kubeconfig" in log.partition("release: whoever looks says:")[2]
    mounts = machine.host.ask("mounts")
    assert " /mnt/data ext4 " in mounts
    machine.host.ask("poweroff")
    machine.wait_end(120)


def test_its_manifest_names_where_it_comes_from(product: Path) -> None:
    text = product.with_name(f"{product.name}.manifest.json").read_text()
    for name in ('"kubesolo"', '"tinycore"', '"iptables"', "kubesolo-v1.1.9-linux-amd64-offline.tar.gz"):
        assert name in text
    assert "k8s.io/kubernetes" not in text
