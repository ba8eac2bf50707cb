"""The Live CD from a CD with a BIOS, a blank disk and a seed: one machine for all tests, in this order."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.vm import live
from tests.vm.conftest import Start
from tests.vm.live import LiveNode
from tests.vm.shell import Key

MACHINE_SECONDS = 3600
CONFIGURATION = "/etc/kubernetes/kubeadm.yaml"
DISK = "/run/live/disk"
UNITS = (
    "multi-user.target",
    "systemd-networkd",
    "systemd-resolved",
    "systemd-timesyncd",
    "ssh",
    "containerd",
)

pytestmark = pytest.mark.timeout(MACHINE_SECONDS)


@pytest.fixture(scope="module")
def node(start_shared: Start, live_iso: Path, tmp_path_factory: pytest.TempPathFactory) -> LiveNode:
    folder = tmp_path_factory.mktemp("live")
    key = Key.make(folder)
    seed, disk = live.write_seed(folder, key), live.blank_disk(folder / "disk.img")
    machine = start_shared(live.hardware(live_iso, seed, disk), MACHINE_SECONDS)
    node = LiveNode(machine, key)
    node.wait_session()
    return node


def test_the_blank_disk_was_formatted_and_the_console_says_so(node: LiveNode) -> None:
    text = node.machine.serial.text()
    assert "[live-init] /dev/vda is blank: formatting it" in text
    assert "[live-init] what is written is kept on /dev/vda" in text
    assert "RAM ONLY" not in text
    assert "a medium labelled cidata" in text, "what people need who can not log in"


def test_the_seed_was_applied(node: LiveNode) -> None:
    node.run("cloud-init status --wait")
    said = node.run("hostname; id -un debian; sudo -u debian sudo -n id -u").split()
    assert said == [live.HOST, "debian", "0"]
    network = node.run("ip -brief address; ip route")
    assert "10.0.2.15/24" in network
    assert "default via 10.0.2.2" in network
    assert "boot stage" not in node.machine.serial.text(), "cloud-init speaks to the journal"


def test_there_is_no_password(node: LiveNode) -> None:
    shadow, settings = node.run("cat /etc/shadow; echo =; sshd -T").split("=\n")
    for line in shadow.splitlines():
        assert line.split(":")[1].startswith(("*", "!")), line
    assert "permitrootlogin without-password" in settings


def test_systemd_has_nothing_to_complain_about(node: LiveNode) -> None:
    assert node.run("systemctl list-units --failed --plain --no-legend").strip() == ""
    assert node.run(f"systemctl is-active {' '.join(UNITS)}").split() == ["active"] * len(UNITS)


def test_nothing_is_made_that_the_medium_has(node: LiveNode) -> None:
    """Caches of systemd's first boot (systemd-update-done.service(8)) were made when the packages were."""
    units = "ldconfig systemd-journal-catalog-update systemd-hwdb-update systemd-sysusers"
    assert node.run(f"systemctl show -P ConditionResult {units}").split() == ["no"] * 4


def test_the_root_is_an_overlay_and_containers_lie_beside_it(node: LiveNode) -> None:
    places = ("/var/lib/containerd", "/var/lib/kubelet", "/var/lib/etcd")
    asked = "; ".join(f"findmnt -no FSTYPE,SOURCE {place}" for place in ("/", *places))
    root, *rows = node.run(asked).splitlines()
    assert root.split()[0] == "overlay"
    for place, row in zip(places, rows, strict=True):
        assert row.split() == ["ext4", f"/dev/vda[/state/{Path(place).name}]"]


def test_keys_and_identity_are_the_machines_own(node: LiveNode) -> None:
    made = ("etc/machine-id", "etc/ssh/ssh_host_ed25519_key")
    identity = node.run(f"cat /etc/machine-id; cd {DISK}/upper && ls {' '.join(made)}")
    assert re.match(r"[0-9a-f]{32}\n", identity)
    assert identity.split()[1:] == list(made), "made here, not shipped"


def test_containerd_answers_and_the_images_are_there(node: LiveNode) -> None:
    node.wait("systemctl is-active k8s-images.service", 900)
    wanted = node.run(f"kubeadm config images list --config {CONFIGURATION} 2>/dev/null").split()
    assert len(wanted) >= 7
    present = node.run("ctr -n k8s.io images ls -q").split()
    assert set(wanted) <= set(present)
    assert '"status": true' in node.run("crictl info")


def test_the_units_of_kubernetes_are_sound(node: LiveNode) -> None:
    units = "kubelet.service containerd.service k8s-images.service"
    assert node.ask(f"systemd-analyze verify --man=no {units}").stdout == ""
    assert node.run("systemctl is-enabled kubelet; swapon --show").strip() == "enabled"
    said = node.run("systemctl show -P Slice kubelet containerd; systemctl show -P CPUWeight k8s.slice")
    assert said.split() == ["k8s.slice", "k8s.slice", "20"], "pods come first"


def test_kubeadm_takes_the_configuration(node: LiveNode) -> None:
    words = f"--config {CONFIGURATION}"
    said = node.run(f"kubeadm config validate {words} && kubeadm init --dry-run {words}", 600)
    assert "Your Kubernetes control-plane has initialized successfully" in said


@pytest.mark.long
def test_what_was_written_survives_and_the_disk_was_left_clean(node: LiveNode) -> None:
    identity = "cat /etc/machine-id /etc/ssh/ssh_host_ed25519_key.pub"
    before = node.run(f"echo kept >~/file; echo kept >/var/lib/etcd/file; {identity}")
    place = node.machine.serial.position()
    node.reboot()
    assert node.run(identity) == before
    said = node.run("cat ~/file /var/lib/etcd/file; journalctl --list-boots --quiet | wc -l")
    assert said.split() == ["kept", "kept", "2"], "the journal is kept, too"
    assert "blank" not in node.machine.serial.text(place)
    log = node.run("cat /run/kubesolo/boot.log")
    assert "checking the file system" not in log, "systemd-shutdown has unmounted it"
    node.run(f"rm /var/lib/etcd/file; test -d {DISK}/upper")
