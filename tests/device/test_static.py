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
