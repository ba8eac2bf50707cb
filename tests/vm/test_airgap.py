"""A node that never sees the internet: images from archives on its disk and on a stick, and from a registry.

The tests run in this order on one machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.lib.debian import tools
from tasks.lib.formats.tree import Tree
from tasks.lib.process import run
from tasks.lib.vm.disks import write_data_disk
from tasks.lib.vm.hardware import Hardware
from tasks.lib.vm.kube import Cluster, Object
from tasks.lib.vm.machine import Machine
from tests.vm import plant, web
from tests.vm.conftest import Start, start_again
from tests.vm.node import API, READY, READY_SECONDS, stretched, wait_log, wait_milestones
from tests.vm.shell import PORT, Key
from tests.vm.workload import wait_ended

DISK_MIB = 1024
STICK_MIB = 64
MACHINE_SECONDS = 1800
IMPORT_SECONDS = 120
PULLED = "docker.io/plant/small:1"
STARTED = "milestone: payload-start"

pytestmark = pytest.mark.timeout(MACHINE_SECONDS)


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Key:
    return Key.make(tmp_path_factory.mktemp("key"))


@pytest.fixture(scope="module")
def machine(
    start_shared: Start, iso: Path, nginx_archive: Path, key: Key, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Machine]:
    folder = tmp_path_factory.mktemp("airgap")
    content, on_stick = Tree(), Tree()
    made = plant.archives(nginx_archive, folder)
    for name, data in made.items():
        content.add_file(f"images/{name}", data)
    plain, packed = folder / "stick.tar", folder / "stick.tar.zst"
    plain.write_bytes(plant.named(folder / "nginx.tar", "plant.example/stick:1"))
    run([*tools.command("zstd"), "-q", "-1", plain, "-o", packed])
    on_stick.add_file("stick.tar.zst", packed)
    write_data_disk(folder / "stick.img", STICK_MIB, on_stick, label="KSOLOIMAGES")
    with plant.mirror(folder, plant.small_image(folder, PULLED), "plant/small:1") as (place, certificate):
        text = f"#cloud-config\n{key.configuration()}{plant.configuration(place, certificate)}"
        content.add_file("etc-kubesolo/cloud-init.yaml", text, 0o600)
        write_data_disk(folder / "data.img", DISK_MIB, content)
        hardware = Hardware(
            cdrom=iso,
            usb=folder / "stick.img",
            data=folder / "data.img",
            network="user",
            forwards={API: 0, PORT: 0},
        )
        yield start_shared(hardware, MACHINE_SECONDS)


def pod(name: str, image: str, script: str, policy: str = "Never", **more: object) -> Object:
    """A pod that runs a line of shell to its end."""
    made = web.shell_pod(name, script)
    (container,) = made["spec"]["containers"]
    container["image"], container["imagePullPolicy"] = image, policy
    made["spec"].update(more)
    return made


def since_start(machine: Machine) -> str:
    """The payload's log of this boot."""
    return machine.host.ask("payload-log", 30).rpartition(STARTED)[2]


def test_archives_of_every_place_are_imported_and_the_damaged_one_is_said(
    machine: Machine, cluster: Cluster
) -> None:
    wait_log(machine, "stick.tar.zst: imported plant.example/stick:1", IMPORT_SECONDS)
    log = since_start(machine)
    assert "good.tar.gz: imported plant.example/good:1" in log
    assert "nested.tar: imported plant.example/nested:1" in log
    assert "damaged.tar: skipped: damaged, or no archive of images" in log
    machine.serial.wait("images: damaged.tar skipped: damaged", stretched(60))
    mounts = machine.host.ask("mounts")
    assert "images-stick" not in mounts, "the stick may be pulled"


@pytest.mark.long
def test_imported_images_run_also_in_a_user_namespace(cluster: Cluster) -> None:
    """Of the latter, the pause container runs from the read-only root as well."""
    for name in ("good", "nested", "stick"):
        cluster.apply(pod(name, f"plant.example/{name}:1", f"echo {name} runs"))
    mapped = pod("mapped", "plant.example/good:1", "cat /proc/self/uid_map", hostUsers=False)
    cluster.apply(mapped)
    for name in ("good", "nested", "stick"):
        assert wait_ended(cluster, pod(name, "", "")) == f"{name} runs\n"
    assert wait_ended(cluster, mapped).split()[1] != "0"


def test_a_mirror_with_a_login_and_its_own_authority(machine: Machine, cluster: Cluster, key: Key) -> None:
    pulled = pod("pulled", PULLED, "echo pulled runs", "Always")
    cluster.apply(pulled)
    assert wait_ended(cluster, pulled) == "pulled runs\n"
    key.wait(machine)
    secrets = key.on(
        machine,
        "stat -c %a /run/kubesolo/registries/docker.io/hosts.toml /run/kubesolo/containerd.toml "
        "/run/kubesolo/cloud-init/registries; kubesolo-os support --out /tmp/s.tgz >/dev/null; "
        f"zcat /tmp/s.tgz | grep -c '{plant.PASSWORD}'",
    )
    # dbclient itself says something first.
    assert secrets.stdout.split()[-4:] == ["600", "600", "600", "0"]


def test_the_system_s_images_are_links_to_the_read_only_root(machine: Machine, key: Key) -> None:
    found = key.on(
        machine,
        "cd /var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots; "
        "for s in */fs; do [ ! -L $s ] || { readlink $s; ls $s/; }; done",
    )
    words = found.stdout.split()
    assert {"coredns", "pause"} <= set(words), found.stdout
    places = [word for word in words if word.startswith("/")]
    assert len(places) == 2
    assert all(
        place.startswith("/run/kubesolo-root/containers/usr/lib/kubesolo-os/images/") for place in places
    )


@pytest.mark.long
def test_the_next_boot_imports_nothing(machine: Machine, cluster: Cluster, start_shared: Start) -> None:
    machine = start_again(start_shared, machine, MACHINE_SECONDS)
    wait_milestones(machine, READY, READY_SECONDS)
    wait_log(machine, "as before, it is not read again until it changes", IMPORT_SECONDS)
    log = since_start(machine)
    assert "imported" not in log
    assert "images: WARNING" in log, "what is damaged is said at each boot"
