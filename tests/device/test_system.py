"""Stages 30 to 80: modules, kernel settings, network, names, clock, folders."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tasks.lib.paths import TOP
from tests.device.fakeroot import DEADLINE, FakeRoot, complete

SYSCTL = {
    "net/bridge/bridge-nf-call-iptables": "1",
    "net/bridge/bridge-nf-call-ip6tables": "1",
    "net/ipv4/ip_forward": "1",
    "fs/inotify/max_user_instances": "1024",
    "fs/inotify/max_user_watches": "524288",
    "net/netfilter/nf_conntrack_max": "131072",
    "vm/swappiness": "0",
    "vm/percpu_pagelist_high_fraction": "128",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    # kubelet --protect-kernel-defaults
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}


def done(root: FakeRoot, name: str) -> str:
    """Run a stage that must complete; returns its log."""
    result = root.stage(name)
    assert result.returncode == 0, result.stderr
    assert complete(name) in result.stderr.splitlines()
    return result.stderr


def wait_for(path: Path, text: str) -> None:
    """Wait for a background process to have written something."""
    deadline = time.monotonic() + DEADLINE
    while not (path.exists() and text in path.read_text()):
        assert time.monotonic() < deadline, f"{text} not in {path}"
        time.sleep(0.02)


def test_modules_of_the_list_and_of_the_devices(root: FakeRoot) -> None:
    root.write("usr/lib/kubesolo-os/modules.list", "# comment\noverlay\n\nnft_ct later\nveth\n")
    root.write("sys/bus/pci/devices/0/uevent", "DRIVER=x\nMODALIAS=pci:v00001AF4d00001000\n")
    root.write("sys/bus/pci/devices/1/uevent", "MODALIAS=pci:v00001AF4d00001000\n")
    root.write("sys/bus/mmc/devices/mmc0:1/uevent", "DRIVER=mmcblk\nMMC_TYPE=SD\nMODALIAS=mmc:block\n")
    root.write("proc/modules", "overlay 1 0 - Live 0x0\nnft_ct 1 0 - Live 0x0\nveth 1 0 - Live 0x0\n")
    log = done(root, "30-kernel-modules")
    assert root.called("modprobe")[0] == "-a -q -b overlay veth mmc:block pci:v00001AF4d00001000"
    assert "-a -q -b nft_ct" in root.called("modprobe")
    assert "WARN" not in log


def test_missing_module_is_only_warned_about(root: FakeRoot) -> None:
    root.write("usr/lib/kubesolo-os/modules.list", "overlay\nnosuch\n")
    root.write("proc/modules", "overlay 1 0 - Live 0x0\n")
    root.fake("modprobe", "return 1")
    assert "built in or missing: nosuch" in done(root, "30-kernel-modules")


def test_kernel_settings_that_kubernetes_needs(root: FakeRoot) -> None:
    conf = (TOP / "overlay/etc/sysctl.d/k8s.conf").read_text()
    root.write("etc/sysctl.d/k8s.conf", conf)
    for key in [*SYSCTL, "net/ipv6/conf/all/forwarding"]:
        root.write(f"proc/sys/{key}", "?\n")
    log = done(root, "40-sysctl")
    assert "WARN" not in log
    assert {key: root.read(f"proc/sys/{key}").strip() for key in SYSCTL} == SYSCTL


def test_setting_that_the_kernel_does_not_have_is_warned_about(root: FakeRoot) -> None:
    root.write("etc/sysctl.d/k8s.conf", "; comment\nvm.nosuch = 1\nvm.swappiness=0\n")
    root.write("proc/sys/vm/swappiness", "60\n")
    assert "sysctl vm.nosuch does not exist" in done(root, "40-sysctl")
    assert root.read("proc/sys/vm/swappiness") == "0\n"


def test_huge_pages_are_for_those_who_ask(root: FakeRoot) -> None:
    setting = "sys/kernel/mm/transparent_hugepage/enabled"
    assert "WARN" not in done(root, "40-sysctl"), "a kernel without them is fine"
    root.write(setting, "[always] madvise never\n")
    done(root, "40-sysctl")
    assert root.read(setting) == "madvise\n"


def fake_dhcp(root: FakeRoot) -> Path:
    root.program("usr/lib/kubesolo-os/dhcp", 'echo started >"$ROOT/dhcp-started"\n')
    return root.path / "dhcp-started"


def test_dhcp_without_a_saved_configuration(root: FakeRoot) -> None:
    started = fake_dhcp(root)
    root.network_card("eth0")
    root.write("mnt/data/resolv.conf", "nameserver 9.9.9.9\n")
    done(root, "50-network")
    wait_for(started, "started")
    assert root.called("ip") == ["link set lo up", "link set eth0 up"]
    assert root.read("run/kubesolo/etc/resolv.conf") == "nameserver 9.9.9.9\n", "until there is a lease"


def test_saved_configuration_comes_before_cloud_init_and_dhcp(root: FakeRoot) -> None:
    started = fake_dhcp(root)
    root.network_card("eth0")
    saved = "NETWORK_MODE=static\nNETWORK_INTERFACE=eth0\nNETWORK_ADDRESS='10.1.2.3/24'\n"
    root.write(
        "mnt/data/network/interfaces.sh", saved + 'NETWORK_GATEWAY=10.1.2.1\nNETWORK_DNS="1.1.1.1 8.8.8.8"\n'
    )
    root.write("run/kubesolo/cloud-init/network.sh", saved.replace("10.1.2.3", "10.9.9.9"))
    done(root, "50-network")
    assert "address replace 10.1.2.3/24 dev eth0" in root.called("ip")
    assert "route replace default via 10.1.2.1 dev eth0" in root.called("ip")
    assert root.read("run/kubesolo/etc/resolv.conf") == "nameserver 1.1.1.1\nnameserver 8.8.8.8\n"
    assert root.read("run/kubesolo/address") == "eth0 10.1.2.3\n"
    assert not started.exists()


@pytest.mark.parametrize(
    "text", ["NETWORK_MODE=static\n", "NETWORK_MODE=static\nNETWORK_ADDRESS=x\n", "if (\n"]
)
def test_bad_saved_configuration_does_not_stop_the_boot(root: FakeRoot, text: str) -> None:
    started = fake_dhcp(root)
    root.network_card("eth0")
    root.fake("ip", '[ "$1" != address ]')
    root.write("mnt/data/network/interfaces.sh", text)
    done(root, "50-network")
    wait_for(started, "started")


def test_virtual_interfaces_are_passed_over(root: FakeRoot) -> None:
    for name in ("lo", "docker0", "veth12", "br0", "cni0"):
        root.network_card(name)
    root.write("sys/class/net/tun0/carrier", "1\n")
    root.network_card("enp2s0", carrier="0")
    root.network_card("enp3s0")
    source = '. "$ROOT/usr/lib/kubesolo-os/network.sh"\ninterface_with_link\necho "$INTERFACES: $LINKED"'
    assert root.shell(source).stdout == "enp2s0 enp3s0: enp3s0\n"


def test_host_name_from_the_primary_mac_is_saved(root: FakeRoot) -> None:
    (root.path / "mnt/data/etc-kubesolo").mkdir()
    root.network_card("eth1", "52:54:00:99:99:99")
    root.network_card("eth0", "52:54:00:ab:cd:ef")
    done(root, "60-hostname")
    assert root.read("run/kubesolo/etc/hostname") == "kubesolo-abcdef\n"
    assert root.read("proc/sys/kernel/hostname") == "kubesolo-abcdef\n"
    assert root.read("mnt/data/etc-kubesolo/hostname") == "kubesolo-abcdef\n"
    assert root.read("run/kubesolo/etc/machine-id") == "0123456789abcdef0123456789abcdef\n"
    assert "127.0.0.1 localhost kubesolo-abcdef" in root.read("run/kubesolo/etc/hosts")


def test_saved_names_stay(root: FakeRoot) -> None:
    root.network_card("eth0")
    root.write("mnt/data/etc-kubesolo/hostname", "edge-1\n")
    root.write("mnt/data/etc-kubesolo/machine-id", "f" * 32 + "\n")
    root.write("run/kubesolo/cloud-init/hostname", "other\n")
    log = done(root, "60-hostname")
    assert "hostname: other is asked for, but this node is edge-1" in log
    assert root.read("run/kubesolo/etc/hostname") == "edge-1\n"
    assert root.read("run/kubesolo/etc/machine-id") == "f" * 32 + "\n"


@pytest.mark.parametrize("name", ["Edge_1", "-edge", "a" * 64, "", "edge;reboot", "edge.example.org"])
def test_bad_saved_name_falls_back_and_stays(root: FakeRoot, name: str) -> None:
    root.write("mnt/data/etc-kubesolo/hostname", f"{name}\n")
    root.write("run/kubesolo/cloud-init/hostname", "edge-2\n")
    log = done(root, "60-hostname")
    assert f"host name '{name}' in" in log
    assert "is not valid" in log
    assert root.read("run/kubesolo/etc/hostname") == "edge-2\n"
    assert root.read("mnt/data/etc-kubesolo/hostname") == f"{name}\n", "what was asked for is not lost"


@pytest.mark.parametrize("name", ["EDGE-01\n", "edge-01\r\n", "Edge-01\r\n", "edge-01", " edge-01 \n"])
def test_name_is_used_in_small_letters_and_without_line_ends(root: FakeRoot, name: str) -> None:
    path = root.write("mnt/data/etc-kubesolo/hostname", "")
    path.write_bytes(name.encode())
    log = done(root, "60-hostname")
    assert root.read("run/kubesolo/etc/hostname") == "edge-01\n"
    assert path.read_bytes() == name.encode(), "the operator's file is the operator's"
    assert ("is used as edge-01" in log) == (name != name.lower())


def test_made_up_name_stays_beside_a_bad_one(root: FakeRoot) -> None:
    """Without a card the name is made of random digits, and it is the node's name in the cluster."""
    root.write("mnt/data/etc-kubesolo/hostname", "my_node\n")
    done(root, "60-hostname")
    first = root.read("run/kubesolo/etc/hostname")
    root.write("proc/sys/kernel/random/uuid", "76543210-89ab-cdef-0123-456789fedcba\n")
    done(root, "60-hostname")
    assert root.read("run/kubesolo/etc/hostname") == first
    assert root.read("mnt/data/etc-kubesolo/hostname") == "my_node\n"


def test_machine_without_network_card_gets_a_name(root: FakeRoot) -> None:
    (root.path / "mnt/data/etc-kubesolo").mkdir()
    done(root, "60-hostname")
    assert root.read("run/kubesolo/etc/hostname") == "kubesolo-abcdef\n"


def test_containerd_folders(root: FakeRoot) -> None:
    root.write("etc/kubesolo/containerd-config.toml", "version = 3\n")
    log = done(root, "80-containerd")
    assert (root.path / "run/containerd").is_dir()
    assert "custom containerd configuration" in log
