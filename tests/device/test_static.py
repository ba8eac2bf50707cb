"""A static network configuration as people write it: on Windows, from memory, for another machine."""

from __future__ import annotations

import pytest

from tests.device.fakeroot import FakeRoot
from tests.device.test_lease import OUTSIDE
from tests.device.test_system import done, fake_dhcp, wait_for

FILE = "mnt/data/network/interfaces.sh"
GOOD = """NETWORK_MODE=static
NETWORK_INTERFACE=eth0
NETWORK_ADDRESS=10.1.2.3/24
NETWORK_GATEWAY=10.1.2.1
NETWORK_DNS="1.1.1.1 8.8.8.8"
"""


def configure(root: FakeRoot, text: str) -> str:
    """Run stage 50 with this configuration; returns its log."""
    root.write(FILE, text)
    return done(root, "50-network")


def assert_applied(root: FakeRoot, log: str) -> None:
    assert "address replace 10.1.2.3/24 dev eth0" in root.called("ip")
    assert root.read("run/kubesolo/address") == "eth0 10.1.2.3\n"
    assert "DHCP" not in log


def assert_dhcp(root: FakeRoot, log: str, words: str) -> None:
    assert words in log
    assert f"{FILE} could not be applied: using DHCP" in log.replace(str(root.path) + "/", "")
    wait_for(root.path / "dhcp-started", "started")


@pytest.fixture(autouse=True)
def _card(root: FakeRoot) -> None:
    fake_dhcp(root)
    root.network_card("eth0")


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        GOOD.replace("\n", "\r\n"),
        GOOD.replace("=static", "=Static"),
        GOOD.replace("=static", "='STATIC'"),
        GOOD.rstrip("\n"),
        "\ufeff# from the editor\n\n" + GOOD,
        GOOD.replace("NETWORK_", "export NETWORK_"),
        GOOD.replace("/24", "/255.255.255.0"),
        GOOD.replace("NETWORK_INTERFACE=eth0\n", ""),
        GOOD.replace("=10.1.2.3/24", "= 10.1.2.3/24  "),
    ],
    ids=["good", "crlf", "capital", "capitals", "no-end", "mark", "export", "mask", "no-card", "blanks"],
)
def test_configuration_is_understood(root: FakeRoot, text: str) -> None:
    log = configure(root, text)
    assert_applied(root, log)
    assert "route replace default via 10.1.2.1 dev eth0" in root.called("ip")
    assert root.read("run/kubesolo/etc/resolv.conf") == "nameserver 1.1.1.1\nnameserver 8.8.8.8\n"
    assert "WARN" not in log


def test_address_without_prefix_length_is_taken_as_24(root: FakeRoot) -> None:
    log = configure(root, GOOD.replace("/24", ""))
    assert_applied(root, log)
    assert "has no prefix length: taken as /24" in log


def test_gateway_outside_the_prefix(root: FakeRoot) -> None:
    root.fake("ip", OUTSIDE)
    log = configure(root, GOOD.replace("10.1.2.1\n", "10.1.3.1\n"))
    assert_applied(root, log)
    assert root.called("ip")[-2:] == [
        "route replace 10.1.3.1/32 dev eth0",
        "route replace default via 10.1.3.1 dev eth0",
    ]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("10.1.2.1\n", "10.1.2\n", "NETWORK_GATEWAY='10.1.2' is not an IPv4 address"),
        ("8.8.8.8", "8.8.8", "name server '8.8.8' is not an address"),
        ("NETWORK_GATEWAY", "NETWORK_ROUTER", "'NETWORK_ROUTER=10.1.2.1' is not understood"),
    ],
)
def test_what_is_wrong_beside_the_address_is_said(root: FakeRoot, old: str, new: str, words: str) -> None:
    log = configure(root, GOOD.replace(old, new))
    assert words in log
    assert "address replace 10.1.2.3/24 dev eth0" in root.called("ip")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("10.1.2.3/24", "10.1.2.300/24", "'10.1.2.300/24' is not an IPv4 address with a prefix length"),
        ("10.1.2.3/24", "10.1.2.3/33", "'10.1.2.3/33' is not an IPv4 address with a prefix length"),
        ("10.1.2.3/24", "10.1.2.3/255.0.255.0", "is not an IPv4 address with a prefix length"),
        ("10.1.2.3/24", "010.1.2.3/24", "is not an IPv4 address with a prefix length"),
        ("10.1.2.3/24", "/24", "NETWORK_ADDRESS='/24'"),
        ("=eth0", "=eht0", "there is no network card 'eht0' (there is: eth0)"),
        ("=eth0", "=../../net/eth0", "there is no network card '../../net/eth0'"),
    ],
)
def test_broken_configuration_falls_to_dhcp(root: FakeRoot, old: str, new: str, words: str) -> None:
    assert_dhcp(root, configure(root, GOOD.replace(old, new)), words)
    assert not any("10.1.2.3" in call for call in root.called("ip"))


def test_mode_that_is_none_is_said(root: FakeRoot) -> None:
    log = configure(root, GOOD.replace("=static", "=manual"))
    assert "NETWORK_MODE='manual' is neither static nor dhcp" in log
    wait_for(root.path / "dhcp-started", "started")


def test_address_that_the_kernel_refuses_falls_to_dhcp(root: FakeRoot) -> None:
    root.fake("ip", '[ "$1" != address ] || { echo "ip: RTNETLINK answers: No buffer space"; return 2; }')
    assert_dhcp(root, configure(root, GOOD), "failed: ip: RTNETLINK answers: No buffer space")


def test_late_card_is_waited_for(root: FakeRoot) -> None:
    root.fake("sleep", '[ "${up%??}" -lt 9 ] || mkdir -p "$ROOT/sys/class/net/eth7/device"')
    log = configure(root, GOOD.replace("eth0", "eth7"))
    assert "address replace 10.1.2.3/24 dev eth7" in root.called("ip")
    assert "link set eth7 up" in root.called("ip")
    assert "WARN" not in log


def test_of_several_cards_the_one_with_a_link_is_waited_for(root: FakeRoot) -> None:
    root.write("sys/class/net/eth0/carrier", "0\n")
    root.network_card("eth1", carrier="0")
    root.fake("sleep", '[ "${up%??}" -lt 9 ] || echo 1 >"$ROOT/sys/class/net/eth1/carrier"')
    configure(root, GOOD.replace("NETWORK_INTERFACE=eth0\n", ""))
    assert "address replace 10.1.2.3/24 dev eth1" in root.called("ip")


def test_without_any_link_the_first_card_is_taken(root: FakeRoot) -> None:
    root.write("sys/class/net/eth0/carrier", "0\n")
    root.network_card("eth1", carrier="0")
    configure(root, GOOD.replace("NETWORK_INTERFACE=eth0\n", ""))
    assert "address replace 10.1.2.3/24 dev eth0" in root.called("ip")


CLOUD = "run/kubesolo/cloud-init/network.sh"


def from_cloud_init(root: FakeRoot, *cards: str) -> str:
    """Run stage 50 with a file for each card; returns its log."""
    for number, text in enumerate(cards, 1):
        root.write(CLOUD if number == 1 else CLOUD.replace(".sh", f"-{number}.sh"), text)
    return done(root, "50-network")


def test_saved_settings_go_before_those_of_cloud_init(root: FakeRoot) -> None:
    root.write(FILE, GOOD)
    from_cloud_init(root, GOOD.replace("10.1.2.3", "10.1.2.99"))
    assert root.read("run/kubesolo/address") == "eth0 10.1.2.3\n"


def test_a_card_is_named_by_its_mac(root: FakeRoot) -> None:
    root.network_card("eth1", mac="52:54:00:00:00:02")
    from_cloud_init(root, GOOD.replace("NETWORK_INTERFACE=eth0", "NETWORK_MAC=52:54:00:00:00:02"))
    assert root.read("run/kubesolo/address") == "eth1 10.1.2.3\n"


def test_several_addresses_routes_and_domains(root: FakeRoot) -> None:
    text = GOOD.replace("=10.1.2.3/24", "=10.1.2.3/24 10.9.0.1/16 fd00::3/64")
    text += "NETWORK_ROUTES=10.50.0.0/16,10.1.2.254 fd01::/48,fd00::1\nNETWORK_SEARCH=lan.example example\n"
    log = from_cloud_init(root, text)
    assert "WARN" not in log
    calls = root.called("ip")
    assert [call for call in calls if call.startswith("address")] == [
        "address replace 10.1.2.3/24 dev eth0",
        "address replace 10.9.0.1/16 dev eth0",
        "address replace fd00::3/64 dev eth0",
    ]
    assert "route replace 10.50.0.0/16 via 10.1.2.254 dev eth0" in calls
    assert "-6 route replace fd01::/48 via fd00::1 dev eth0" in calls
    assert root.read("run/kubesolo/address") == "eth0 10.1.2.3\n"
    assert root.read("run/kubesolo/addresses.more") == "10.9.0.1\nfd00::3\n"
    assert root.read("run/kubesolo/etc/resolv.conf").startswith("search lan.example example\n")


def test_vlan_mtu_and_ipv6(root: FakeRoot) -> None:
    for setting in ("accept_ra", "disable_ipv6"):
        root.write(f"proc/sys/net/ipv6/conf/eth0.7/{setting}", "9\n")
    from_cloud_init(root, GOOD + "NETWORK_VLAN=7\nNETWORK_MTU=1400\nNETWORK_IPV6=off\n")
    calls = root.called("ip")
    assert (
        calls.index("link add link eth0 name eth0.7 type vlan id 7")
        < calls.index("link set eth0.7 mtu 1400")
        < calls.index("link set eth0.7 up")
        < calls.index("address replace 10.1.2.3/24 dev eth0.7")
    )
    assert root.read("proc/sys/net/ipv6/conf/eth0.7/disable_ipv6") == "1\n"
    assert root.read("run/kubesolo/address") == "eth0.7 10.1.2.3\n"
    assert root.read("run/kubesolo/mtu") == "1400\n"


SECOND = "NETWORK_MODE=static\nNETWORK_INTERFACE=eth1\nNETWORK_ADDRESS=192.168.7.1/24\n"
DHCP = "NETWORK_MODE=dhcp\nNETWORK_INTERFACE=eth0\n"


def test_two_cards_the_first_is_the_node(root: FakeRoot) -> None:
    root.network_card("eth1")
    from_cloud_init(root, GOOD, SECOND)
    assert "address replace 192.168.7.1/24 dev eth1" in root.called("ip")
    assert root.read("run/kubesolo/address") == "eth0 10.1.2.3\n"
    assert root.read("run/kubesolo/addresses.more") == "192.168.7.1\n"
    assert not (root.path / "dhcp-started").exists()


def test_a_card_by_dhcp_beside_a_static_one(root: FakeRoot) -> None:
    root.network_card("eth1")
    from_cloud_init(root, DHCP + "NETWORK_DNS=9.9.9.9\n", SECOND)
    wait_for(root.path / "dhcp-started", "started")
    assert root.read("run/kubesolo/dhcp-cards") == "eth0\n"
    assert not (root.path / "run/kubesolo/dhcp.second").exists()
    assert not (root.path / "run/kubesolo/address").exists(), "the lease brings it"
    assert root.read("run/kubesolo/name-servers") == "\n 9.9.9.9\n"


def test_a_static_card_before_one_by_dhcp_stays_the_node(root: FakeRoot) -> None:
    root.network_card("eth1")
    from_cloud_init(root, SECOND, DHCP)
    wait_for(root.path / "dhcp-started", "started")
    assert root.read("run/kubesolo/address") == "eth1 192.168.7.1\n"
    assert (root.path / "run/kubesolo/dhcp.second").exists()
