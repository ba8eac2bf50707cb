"""A node and a DHCP server, each a machine of its own with one wire between them.

The server is BusyBox's, on the product's own kernel and root. The wire is the node's second card; on the
first nobody answers. Both machines have a shell on the serial console, by a boot stage of the test.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from tasks.lib.boot.menu import SERIAL_LAST
from tasks.lib.formats import cpio
from tasks.lib.formats.tree import Tree
from tasks.lib.vm.hardware import Hardware
from tasks.lib.vm.machine import Machine
from tasks.lib.vm.media import BootFiles, append_segment, boot_files
from tests.vm.conftest import Start
from tests.vm.node import stretched, wait_milestones

BOOT_SECONDS = 90
STEP_SECONDS = 60
MACHINE_SECONDS = 900
POD_SECONDS = 240
PROMPT = "console-of-the-test# "
# Instead of a stage: a machine that serves does nothing else.
SHELL = f"PS1='{PROMPT}' setsid sh -i </dev/ttyS0 >/dev/ttyS0 2>&1"
SERVER_STAGE = f"{SHELL}\n"
NODE_STAGE = f"{SHELL} &\n"
APPEND = f"{SERIAL_LAST} kubesolo.nopersist"
# The router is outside the prefix, and packets are short.
CLOUD = """interface eth0
start 10.77.0.50
end 10.77.0.50
opt subnet 255.255.255.0
opt router 10.99.0.1
opt dns 10.77.0.1
opt ntpsrv 10.77.0.1
opt mtu 1400
opt lease 86400
lease_file /tmp/leases
pidfile /tmp/udhcpd.pid
"""
# Another network, whose routes are classless: on the wire itself, and by a router.
OTHER = """interface eth0
start 10.88.0.60
end 10.88.0.60
opt subnet 255.255.255.255
opt router 10.88.0.99
opt staticroutes 10.66.0.0/16 10.88.0.1, 0.0.0.0/0 10.88.0.1, 10.88.0.1/32 0.0.0.0
opt dns 10.88.0.1
opt lease 86400
lease_file /tmp/leases
pidfile /tmp/udhcpd.pid
"""
# A router that says every other second that it is one, and of which network: RFC 4861, 4.2 and 4.6.2.
ADVERTISE = """
import socket, struct, time

wire = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
wire.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
head = struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 1800, 0, 0)
prefix = struct.pack("!BBBBIII", 3, 4, 64, 0xC0, 86400, 86400, 0)
network = socket.inet_pton(socket.AF_INET6, "fd00:77::")
while True:
    wire.sendto(head + prefix + network, ("ff02::1", 0, 0, socket.if_nametoindex("eth0")))
    time.sleep(2)
"""

pytestmark = pytest.mark.timeout(MACHINE_SECONDS)


class Shell:
    """The shell on a machine's console."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.count = 0
        machine.serial.wait(PROMPT, stretched(BOOT_SECONDS))
        # The kernel's own messages would stand between the answers.
        self.run("dmesg -n 1")

    def run(self, command: str) -> str:
        """What a command prints."""
        self.count += 1
        place = self.machine.serial.position()
        # The shell echoes what is typed, in lines as it likes: that must not look like the answer.
        mark = f"$((1000 + {self.count}))"
        self.machine.serial.send(f"echo from-{mark}; {command}; echo to-{mark}\r")
        first, last = (f"{word}-{1000 + self.count}" for word in ("from", "to"))
        self.machine.serial.wait(last, stretched(STEP_SECONDS), place)
        text = self.machine.serial.text(place).replace("\r", "")
        return text.partition(f"{first}\n")[2].partition(last)[0]

    def until(self, command: str, words: str) -> str:
        """Run a command again and again until it prints these words."""
        deadline = time.monotonic() + stretched(STEP_SECONDS)
        while words not in (text := self.run(command)):
            assert time.monotonic() < deadline, f"no {words!r} in the answer of {command}:\n{text}"
            time.sleep(1)
        return text


class Server(Shell):
    """The machine that serves."""

    def serve(self, name: str, *addresses: str) -> None:
        """Be the DHCP server and router of a network, instead of whatever it was."""
        self.run("kill $(cat /tmp/udhcpd.pid); rm -f /tmp/leases; ip address flush dev eth0")
        self.run("ip link set eth0 up")
        for address in addresses:
            self.run(f"ip address add {address} dev eth0")
        self.run("touch /tmp/leases")
        self.run(f"(busybox udhcpd -f /run/kubesolo-init/{name}.conf >/tmp/udhcpd.log 2>&1 &)")

    def advertise(self) -> None:
        """Be the router of an IPv6 network, too."""
        self.run("ip address add fd00:77::1/64 dev eth0")
        self.run("(python3 -I -S /run/kubesolo-init/advertise.py >/tmp/advertise.log 2>&1 &)")

    def reaches(self, target: str, source: str) -> None:
        """The node answers an address of this machine, which takes a route on its side."""
        self.until(f"ping -c 1 -W 2 -I {source} {target}", "1 packets received")


def initrd(files: BootFiles, stages: dict[str, str], out: Path) -> Path:
    """The stub's initramfs with these files in the folder of the boot scripts."""
    tree = Tree()
    for name, text in stages.items():
        tree.add_file(f"lib/kubesolo-init/{name}", text.encode(), 0o755)
    segment = out.with_suffix(".cpio")
    with segment.open("wb") as stream:
        cpio.write(tree, stream, 0)
    append_segment(files.initrd, segment, out)
    return out


@pytest.fixture
def ends(tmp_path: Path) -> tuple[Path, Path]:
    """The wire."""
    return tmp_path / "a", tmp_path / "b"


@pytest.fixture
def server(
    start: Start, stub_iso: Path, stub_files: BootFiles, ends: tuple[Path, Path], tmp_path: Path
) -> Server:
    """A server that serves CLOUD."""
    files = {"stages/50-network.sh": SERVER_STAGE, "cloud.conf": CLOUD, "other.conf": OTHER}
    hardware = Hardware(
        cdrom=stub_iso,
        memory=384,
        cpus=1,
        kernel=stub_files.kernel,
        initrd=initrd(stub_files, {**files, "advertise.py": ADVERTISE}, tmp_path / "server"),
        append=APPEND,
        network="none",
        wire=ends,
    )
    serving = Server(start(hardware, MACHINE_SECONDS))
    serving.serve("cloud", "10.77.0.1/24", "10.99.0.1/32")
    return serving


def node_hardware(iso: Path, files: BootFiles, ends: tuple[Path, Path], folder: Path) -> Hardware:
    """A node at the other end of the wire, with a shell."""
    return Hardware(
        cdrom=iso,
        memory=512,
        cpus=1,
        kernel=files.kernel,
        initrd=initrd(files, {"stages/95-shell.sh": NODE_STAGE}, folder / "node"),
        append=APPEND,
        network="silent",
        wire=(ends[1], ends[0]),
    )


def test_node_follows_what_its_network_says(
    start: Start,
    stub_iso: Path,
    stub_files: BootFiles,
    server: Server,
    ends: tuple[Path, Path],
    tmp_path: Path,
) -> None:
    machine = start(node_hardware(stub_iso, stub_files, ends, tmp_path), MACHINE_SECONDS)
    node = Shell(machine)
    assert_cloud(server, node)
    assert_advertised(server, node)
    move_cable(server, machine)
    assert_other(server, node)
    assert_everything_comes_back(node)


def assert_advertised(server: Server, node: Shell) -> None:
    """A node that forwards for its pods takes an address and a router from advertisements all the same."""
    server.advertise()
    assert node.run("cat /proc/sys/net/ipv6/conf/eth1/forwarding").strip() == "1"
    node.until("ip -6 address show dev eth1", "inet6 fd00:77::")
    node.until("ip -6 route | grep eth1", "default via fe80::")
    node.until("ping -6 -c 1 -W 2 fd00:77::1", "1 packets received")


@pytest.mark.long
def test_pods_have_the_mtu_of_the_lease(
    start: Start, iso: Path, server: Server, ends: tuple[Path, Path], tmp_path: Path
) -> None:
    (tmp_path / "iso").mkdir()
    hardware = node_hardware(iso, boot_files(iso, tmp_path / "iso"), ends, tmp_path)
    machine = start(replace(hardware, memory=1536, cpus=2, network="none"), MACHINE_SECONDS)
    node = Shell(machine)
    node.until("cat /run/kubesolo/address", "eth0 10.77.0.50")
    wait_milestones(machine, ("coredns-running",), POD_SECONDS)
    assert node.run("cat /proc/$(pidof coredns)/root/sys/class/net/eth0/mtu").strip() == "1400"
    assert "mtu 1400" in node.run("ip link show dev cni0")


def assert_cloud(server: Server, node: Shell) -> None:
    """Nobody answers on the first card: the second has a lease, a far router, short packets."""
    node.until("cat /run/kubesolo/address", "eth1 10.77.0.50")
    assert "mtu 1400" in node.run("ip link show dev eth1")
    routes = node.run("ip route")
    assert "10.99.0.1 dev eth1" in routes
    assert "default via 10.99.0.1 dev eth1" in routes
    server.reaches("10.77.0.50", "10.99.0.1")
    node.until("grep 77 /run/kubesolo/payload.args", "10.77.0.50")
    assert "kubesolo0" not in node.run("ip link")
    assert "10.77.0.1" in node.run("cat /run/kubesolo/ntp-servers")
    assert "\n2\n" in "\n" + node.run("cat /proc/sys/net/ipv6/conf/eth1/accept_ra")


def move_cable(server: Server, machine: Machine) -> None:
    """Pull the cable and put it into another network."""
    machine.monitor.execute("set_link", name="wirecard", up=False)
    server.serve("other", "10.88.0.1/24", "10.66.0.1/32")
    machine.monitor.execute("set_link", name="wirecard", up=True)


def assert_other(server: Server, node: Shell) -> None:
    """The lease of the other network came at once, not after half of the first one's day."""
    node.until("cat /run/kubesolo/address", "eth1 10.88.0.60")
    addresses = node.run("ip address show dev eth1")
    assert "10.88.0.60/32" in addresses
    assert "inet 10.77.0.50" not in addresses
    assert "mtu 1500" in node.run("ip link show dev eth1")
    routes = node.until("ip route", "10.66.0.0/16 via 10.88.0.1 dev eth1")
    assert "default via 10.88.0.1 dev eth1" in routes
    assert "10.99.0.1" not in routes
    assert "10.88.0.99" not in routes
    server.reaches("10.88.0.60", "10.66.0.1")
    node.until("cat /run/kubesolo/payload.args", "10.88.0.60")
    # More often where the first lease came after the payload had started.
    starts = "grep -c payload-exec /run/kubesolo/milestones"
    node.until(f'[ "$({starts})" -lt 2 ] || echo started-again', "started-again\n")
    console = node.machine.serial.text()
    assert "the address of the node changes from 10.77.0.50 to 10.88.0.60" in console
    assert not [line for line in console.splitlines() if "[kubesolo-init]" in line and "failed" in line]


def assert_everything_comes_back(node: Shell) -> None:
    """The DHCP client and its keeper are killed; the address stays."""
    for name in ("udhcpc", "dhcp", "hostport"):
        before = node.run(f"head -n 1 /run/kubesolo/{name}.pid").strip()
        node.run(f"kill -9 {before}")
        node.until(f'[ "$(head -n 1 /run/kubesolo/{name}.pid)" = {before} ] || echo a-new-one', "a-new-one\n")
    node.until("cat /proc/$(cat /run/kubesolo/udhcpc.pid)/comm", "udhcpc")
    assert node.run("pidof udhcpc | wc -w").strip() == "1"
    assert "10.88.0.60/32" in node.run("ip address show dev eth1")
