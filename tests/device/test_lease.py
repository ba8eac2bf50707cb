"""What a DHCP lease does to the node: address, routes, longest packet, servers, the payload."""

from __future__ import annotations

import pytest

from tests.device.fakeroot import FakeRoot

LEASE = {
    "interface": "eth0",
    "ip": "10.0.2.15",
    "mask": "24",
    "router": "10.0.2.2",
    "dns": "10.0.2.3",
    "lease": "3600",
}
# The kernel's answer to a router that no prefix of the card has.
OUTSIDE = """
case $* in
'route replace '*'/32 dev '*) : >"$ROOT/on-the-wire" ;;
*' via '*)
    [ -e "$ROOT/on-the-wire" ] || { echo 'ip: RTNETLINK answers: Network is unreachable' >&2; return 2; }
    ;;
esac
"""


@pytest.fixture(autouse=True)
def _machine(root: FakeRoot) -> None:
    root.network_card("eth0")
    root.network_card("eth1")
    root.write("sys/class/tty/console/active", "ttyS0\n")
    root.write("dev/ttyS0", "")
    root.write("run/kubesolo/etc/hostname", "node-1\n")


def lease(root: FakeRoot, event: str, **changes: str) -> None:
    result = root.script("udhcpc-script", event, **{**LEASE, **changes})
    assert result.returncode == 0, result.stderr


def console(root: FakeRoot) -> str:
    return root.read("dev/ttyS0")


def test_lease_is_applied_and_its_servers_are_kept(root: FakeRoot) -> None:
    lease(root, "deconfig")
    assert not root.called("ip"), "nothing to undo before the first lease"
    lease(root, "bound", domain="example.org", ntpsrv="10.0.2.4 10.0.2.5")
    assert root.called("ip") == [
        "address replace 10.0.2.15/24 dev eth0",
        "route replace default via 10.0.2.2 dev eth0",
    ]
    assert root.read("run/kubesolo/etc/resolv.conf") == "search example.org\nnameserver 10.0.2.3\n"
    assert root.read("mnt/data/resolv.conf") == root.read("run/kubesolo/etc/resolv.conf")
    assert root.read("run/kubesolo/address") == "eth0 10.0.2.15\n"
    assert root.read("run/kubesolo/ntp-servers") == "10.0.2.4 10.0.2.5\n"
    assert "address: 10.0.2.15/24 on eth0" in console(root)
    assert "WARN" not in console(root)


def test_changed_lease_replaces_the_old_one(root: FakeRoot) -> None:
    lease(root, "bound")
    root.write("calls", "")
    lease(root, "renew", ip="10.0.2.77")
    assert "address del 10.0.2.15/24 dev eth0" in root.called("ip")
    assert root.read("run/kubesolo/address") == "eth0 10.0.2.77\n"
    lease(root, "deconfig")
    assert "address del 10.0.2.77/24 dev eth0" in root.called("ip")
    assert "the lease of 10.0.2.77 on eth0 has ended" in console(root)


def test_lease_on_another_card_takes_the_address_from_the_first(root: FakeRoot) -> None:
    lease(root, "bound")
    root.write("calls", "")
    lease(root, "bound", interface="eth1", ip="10.9.0.7")
    assert "address del 10.0.2.15/24 dev eth0" in root.called("ip")
    assert root.read("run/kubesolo/address") == "eth1 10.9.0.7\n"


def payload(root: FakeRoot, address: str) -> None:
    """A payload that was started with this address."""
    root.write("run/kubesolo/address", address)
    root.write("run/kubesolo/payload.args", "--apiserver-extra-sans\nnode-1,x\n")
    root.write("run/kubesolo/run-payload.pid", "4242\n")
    root.write("fakes/kill", 'kill() { printf "kill %s\\n" "$*" >>"$ROOT/calls"; }\n')


def sans(root: FakeRoot) -> str:
    return root.read("run/kubesolo/payload.args").splitlines()[-1]


def test_payload_follows_the_address(root: FakeRoot) -> None:
    """First none (a dummy interface), then a lease, then another; a name that somebody gave stays."""
    payload(root, "kubesolo0 192.0.2.1\n")
    root.write("etc/kubesolo/extra-flags", "--apiserver-extra-sans=10.0.2.5,10.0.2.150\n--full\n")
    lease(root, "bound", ip="10.0.2.15")
    assert sans(root) == "10.0.2.5,10.0.2.150,node-1,10.0.2.15"
    assert (root.path / "run/kubesolo/payload.args").stat().st_mode & 0o077 == 0
    assert "link del kubesolo0" in root.called("ip")
    assert root.called("kill") == ["-HUP 4242"]
    assert "the address of the node changes from 192.0.2.1 to 10.0.2.15" in console(root)
    lease(root, "renew", ip="10.0.2.15")
    assert len(root.called("kill")) == 1, "nothing has changed"
    lease(root, "renew", ip="10.0.2.9")
    assert sans(root) == "10.0.2.5,10.0.2.150,node-1,10.0.2.9"


def test_lease_that_arrives_while_the_dummy_interface_is_made_wins(root: FakeRoot) -> None:
    body = '[ "$*" != "link set kubesolo0 up" ] || echo "eth0 10.0.2.15" >"$ROOT/run/kubesolo/address"'
    root.fake("ip", body)
    root.write("sys/class/net/eth0/carrier", "0\n")
    result = root.stage("90-kubesolo")
    assert result.returncode == 0, result.stderr
    assert root.read("run/kubesolo/address") == "eth0 10.0.2.15\n"
    assert sans(root) == "node-1,10.0.2.15"
    assert "link del kubesolo0" in root.called("ip")
    assert "WARN" not in result.stderr


def test_lease_that_arrives_while_the_command_line_is_made_is_in_it(root: FakeRoot) -> None:
    root.write("run/kubesolo/address", "eth0 10.0.2.15\n")
    lease_comes = 'case $2 in *.args) echo "eth0 10.0.2.16" >"$ROOT/run/kubesolo/address" ;; esac'
    root.write("fakes/mv", f'mv() {{ command mv "$@"; {lease_comes}; }}\n')
    result = root.stage("90-kubesolo")
    assert result.returncode == 0, result.stderr
    assert sans(root) == "node-1,10.0.2.16"


def test_classless_routes_replace_the_router(root: FakeRoot) -> None:
    lease(root, "bound", staticroutes="0.0.0.0/0 10.0.2.9 10.5.0.0/16 10.0.2.8")
    assert root.called("ip")[1:] == [
        "route replace default via 10.0.2.9 dev eth0",
        "route replace 10.5.0.0/16 via 10.0.2.8 dev eth0",
    ]


def test_routes_on_the_wire_itself_come_first(root: FakeRoot) -> None:
    """As Google's cloud gives them: an address without neighbours."""
    lease(root, "bound", mask="32", staticroutes="0.0.0.0/0 10.128.0.1 10.128.0.1/32 0.0.0.0")
    assert root.called("ip")[1:] == [
        "route replace 10.128.0.1/32 dev eth0",
        "route replace default via 10.128.0.1 dev eth0",
    ]
    assert "WARN" not in console(root)


@pytest.mark.parametrize("routes", ["", "0.0.0.0/0 172.31.1.1"])
def test_router_outside_the_prefix(root: FakeRoot, routes: str) -> None:
    root.fake("ip", OUTSIDE)
    lease(root, "bound", mask="32", router="172.31.1.1", staticroutes=routes)
    assert root.called("ip")[-2:] == [
        "route replace 172.31.1.1/32 dev eth0",
        "route replace default via 172.31.1.1 dev eth0",
    ]
    assert "WARN" not in console(root)


def test_routes_of_the_lease_before_go(root: FakeRoot) -> None:
    lease(root, "bound", staticroutes="0.0.0.0/0 10.0.2.9 10.5.0.0/16 10.0.2.8")
    root.write("calls", "")
    lease(root, "renew", staticroutes="0.0.0.0/0 10.0.2.9")
    assert "route del 10.5.0.0/16 dev eth0" in root.called("ip")
    assert "route del default dev eth0" not in root.called("ip")


def test_far_router_goes_with_its_lease_and_the_default_route_stays(root: FakeRoot) -> None:
    root.fake("ip", OUTSIDE)
    lease(root, "bound", router="172.31.1.1")
    root.fake("ip", ":")
    root.write("calls", "")
    lease(root, "bound", ip="10.9.0.7", staticroutes="0.0.0.0/0 10.9.0.1 10.5.0.0/16 10.9.0.1")
    assert [call for call in root.called("ip") if "route del" in call] == ["route del 172.31.1.1/32 dev eth0"]


def test_what_the_kernel_refuses_is_said_once(root: FakeRoot) -> None:
    root.fake("ip", '[ "$1" != route ] || { echo "ip: RTNETLINK answers: No such device"; return 2; }')
    lease(root, "bound")
    lease(root, "renew")
    words = "'ip route replace 10.0.2.2/32 dev eth0' failed: ip: RTNETLINK answers: No such device"
    assert console(root).count(words) == 1
    root.fake("ip", ":")
    lease(root, "renew")
    assert not list((root.path / "run/kubesolo/problems").iterdir())


def test_longest_packet_of_the_network(root: FakeRoot) -> None:
    payload(root, "eth0 10.0.2.15\n")
    lease(root, "bound", mtu="1400")
    assert root.called("ip")[0] == "link set eth0 mtu 1400"
    assert root.read("run/kubesolo/mtu") == "1400\n"
    assert root.called("kill") == ["-HUP 4242"], "pods get it when the payload starts"
    root.write("calls", "")
    lease(root, "renew", mtu="1400")
    assert not [call for call in root.calls if "mtu" in call or "HUP" in call]
    lease(root, "renew")
    assert "link set eth0 mtu 1500" in root.called("ip")


@pytest.mark.parametrize("mtu", ["0", "575", "99", "01400", "x"])
def test_packet_length_that_is_none_is_said(root: FakeRoot, mtu: str) -> None:
    lease(root, "bound", mtu=mtu)
    assert f"longest packet of {mtu} bytes is none" in console(root)
    assert "address replace 10.0.2.15/24 dev eth0" in root.called("ip")


def test_server_that_does_not_answer_is_said_once(root: FakeRoot) -> None:
    for _ in range(3):
        lease(root, "leasefail")
    assert console(root).count("no DHCP server answers on eth0") == 1
    lease(root, "bound")
    lease(root, "leasefail")
    assert console(root).count("no DHCP server answers on eth0") == 2


def test_client_that_starts_anew_does_not_take_the_address(root: FakeRoot) -> None:
    lease(root, "bound")
    root.write("run/kubesolo/lease.keep", "")
    root.write("calls", "")
    lease(root, "deconfig")
    assert not root.called("ip")
    lease(root, "deconfig")
    assert root.called("ip") == ["address del 10.0.2.15/24 dev eth0"]


@pytest.mark.parametrize(("ip", "mask"), [("10.42.0.17", "24"), ("10.43.9.9", "16"), ("10.1.2.3", "8")])
def test_network_inside_the_clusters_own_is_avoided_before_the_first_start(
    root: FakeRoot, ip: str, mask: str
) -> None:
    lease(root, "bound", ip=ip, mask=mask)
    result = root.stage("90-kubesolo")
    assert result.returncode == 0, result.stderr
    flags = [line for line in root.read("run/kubesolo/payload.args").splitlines() if "cidr" in line]
    chosen = {
        "10.42.0.17": ["--pod-cidr=10.142.0.0/16"],
        "10.43.9.9": ["--service-cidr=10.143.0.0/16"],
        "10.1.2.3": ["--pod-cidr=172.20.0.0/16", "--service-cidr=172.21.0.0/16"],
    }
    assert flags == chosen[ip]
    assert "overlap" not in result.stderr


@pytest.mark.parametrize(
    "made", ["db/state.db", "networks.json", "networks.json with others", "flag in one word", "flag in two"]
)
def test_network_inside_the_clusters_own_is_said(root: FakeRoot, made: str) -> None:
    """When the cluster is there, or its ranges were chosen, nothing else is left."""
    range_ = "10.42.0.0/16"
    if made.startswith("flag"):
        range_ = "10.96.0.0/12"
        root.write("etc/kubesolo/extra-flags", f"--service-cidr{'=' if 'one' in made else ' '}{range_}\n")
    elif "others" in made:
        range_ = "172.20.0.0/16"
        root.write("var/lib/kubesolo/networks.json", f'{{"pods":"{range_}","services":"10.143.0.0/16"}}\n')
    else:
        root.write(f"var/lib/kubesolo/{made}", "\n")
    host = f"{range_.rpartition('.')[0]}.17"
    lease(root, "bound", ip=host)
    result = root.stage("90-kubesolo")
    assert f"({host}/24) and the cluster's own {range_} overlap" in result.stderr
    lease(root, "renew", ip="192.168.7.7")
    assert not (root.path / "run/kubesolo/problems/ranges").exists()
    lease(root, "renew", ip=host)
    assert f"the cluster's own {range_} overlap" in console(root), "also when the node is moved there"
