"""The keeper of the lease: which card is asked on, and when it is asked anew."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from tests.device.fakeroot import DEADLINE, FakeRoot
from tests.device.test_scripts import background

# Stays until it is stopped, as the real one does.
CLIENT = """
udhcpc() {
    [ ! -e "$ROOT/run/kubesolo/lease.keep" ] || echo kept >>"$ROOT/calls"
    printf 'udhcpc %s\\n' "$*" >>"$ROOT/calls"
    read -r _ <>"$ROOT/never"
}
"""
NAMES = ("eth0", "eth1")


class Keeper:
    """The running keeper in a fake root."""

    def __init__(self, root: FakeRoot) -> None:
        self.root = root

    def asked(self) -> list[str]:
        """The cards that were asked on, in order."""
        return [call.split()[2] for call in self.root.called("udhcpc")]

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait for something that the keeper does at its next look."""
        deadline = time.monotonic() + DEADLINE
        while not condition():
            assert time.monotonic() < deadline, self.root.calls
            time.sleep(0.02)

    def later(self, seconds: int) -> None:
        now = float(self.root.read("proc/uptime").split()[0])
        self.root.write("proc/uptime", f"{int(now) + seconds}.00 1\n")

    def looks(self) -> None:
        """Let the keeper look twice."""
        time.sleep(0.5)

    def lease(self, card: str, ends: int = 9999) -> None:
        self.root.write("run/kubesolo/lease", f"10.0.2.15/24 {card} {ends}\n")
        self.root.write("run/kubesolo/dhcp.answered", "")

    def link(self, card: str, carrier: str) -> None:
        path = f"sys/class/net/{card}/"
        self.root.write(path + "carrier", f"{carrier}\n")
        changes = int(self.root.read(path + "carrier_changes"))
        self.root.write(path + "carrier_changes", f"{changes + 1}\n")

    def console(self) -> str:
        return self.root.read("dev/ttyS0")


@pytest.fixture
def cards(root: FakeRoot) -> FakeRoot:
    """Two cards, neither with a link."""
    for name in NAMES:
        root.network_card(name, carrier="0")
        root.write(f"sys/class/net/{name}/carrier_changes", "0\n")
    root.write("sys/class/tty/console/active", "ttyS0\n")
    root.write("dev/ttyS0", "")
    root.write("never", "")
    (root.path / "never").unlink()
    root.shell('mkfifo "$ROOT/never"')
    root.write("fakes.sh", root.read("fakes.sh") + CLIENT)
    return root


@pytest.fixture
def keeper(cards: FakeRoot) -> Iterator[Keeper]:
    with background(cards, "dhcp", POLL="0.1"):
        yield Keeper(cards)


def test_it_asks_on_the_card_that_gets_a_link(cards: FakeRoot, keeper: Keeper) -> None:
    cards.write("mnt/data/etc-kubesolo/hostname", "EDGE-01\r\n")
    keeper.until(lambda: "set eth1 up" in " ".join(cards.called("ip")))
    assert not keeper.asked()
    keeper.link("eth1", "1")
    keeper.until(lambda: keeper.asked() == ["eth1"])
    call = cards.called("udhcpc")[0]
    assert "-s /usr/lib/kubesolo-os/udhcpc-script" in call
    assert "-O mtu" in call
    assert "-O ntpsrv" in call
    assert call.endswith("-x hostname:edge-01")


def test_cable_that_was_out_means_asking_anew(cards: FakeRoot, keeper: Keeper) -> None:
    keeper.link("eth0", "1")
    keeper.until(lambda: keeper.asked() == ["eth0"])
    keeper.lease("eth0")
    keeper.looks()
    # Out and in between two looks: only the counter tells.
    keeper.link("eth0", "0")
    keeper.link("eth0", "1")
    keeper.until(lambda: keeper.asked() == ["eth0", "eth0"])
    assert "-r 10.0.2.15" in cards.called("udhcpc")[1], "the same address where it is the same network"
    assert "kept" in cards.calls, "the address stays until there is another"


def test_card_that_gets_a_link_when_the_first_has_lost_its_own(keeper: Keeper) -> None:
    keeper.link("eth0", "1")
    keeper.until(lambda: keeper.asked() == ["eth0"])
    keeper.lease("eth0")
    keeper.looks()
    keeper.link("eth0", "0")
    keeper.link("eth1", "1")
    keeper.looks()
    assert keeper.asked() == ["eth0"], "a link may be away for a moment"
    keeper.later(6)
    keeper.until(lambda: keeper.asked() == ["eth0", "eth1"])


def test_next_card_is_tried_where_nobody_answers(keeper: Keeper) -> None:
    keeper.link("eth0", "1")
    keeper.link("eth1", "1")
    keeper.until(lambda: keeper.asked() == ["eth0"])
    keeper.later(9)
    keeper.until(lambda: keeper.asked() == ["eth0", "eth1"])
    keeper.later(9)
    keeper.looks()
    assert len(keeper.asked()) == 2, "each round lasts longer"
    keeper.later(9)
    keeper.until(lambda: keeper.asked() == ["eth0", "eth1", "eth0"])
    keeper.lease("eth0")
    keeper.looks()
    keeper.later(500)
    keeper.looks()
    assert len(keeper.asked()) == 3, "there is a lease now"


def test_single_card_is_asked_on_for_ever(keeper: Keeper) -> None:
    keeper.link("eth0", "1")
    keeper.until(lambda: keeper.asked() == ["eth0"])
    keeper.later(500)
    keeper.looks()
    assert keeper.asked() == ["eth0"]


def test_lease_that_nobody_renews_ends(cards: FakeRoot, keeper: Keeper) -> None:
    keeper.link("eth0", "1")
    keeper.until(lambda: keeper.asked() == ["eth0"])
    script = 'echo "$1 $interface" >"$ROOT/event"\nrm "$ROOT/run/kubesolo/lease"\n'
    cards.program("usr/lib/kubesolo-os/udhcpc-script", script)
    keeper.lease("eth0", ends=100)
    keeper.link("eth0", "0")
    keeper.later(200)
    keeper.until(lambda: (cards.path / "event").exists())
    keeper.until(lambda: cards.read("event") == "deconfig eth0\n")


def test_client_that_dies_is_started_again(cards: FakeRoot, keeper: Keeper) -> None:
    keeper.link("eth0", "1")
    keeper.until(lambda: keeper.asked() == ["eth0"])
    keeper.until(lambda: (cards.path / "run/kubesolo/udhcpc.pid").exists())
    for times in (2, 3):
        # The fifo's reader ends with a line.
        cards.shell('echo end >"$ROOT/never"')
        keeper.until(lambda times=times: len(keeper.asked()) == times)  # type: ignore[misc]
    assert keeper.console().count("the DHCP client has died") == 1


def test_machine_without_a_link_says_so_once(keeper: Keeper) -> None:
    keeper.later(60)
    keeper.until(lambda: "no network card has a link (there is: eth0 eth1)" in keeper.console())
    keeper.looks()
    assert keeper.console().count("no network card has a link") == 1


def test_router_advertisements_are_heard_on_physical_cards(cards: FakeRoot) -> None:
    for name in (*NAMES, "cni0"):
        cards.write(f"proc/sys/net/ipv6/conf/{name}/accept_ra", "1\n")
    with background(cards, "dhcp", POLL="0.1"):
        Keeper(cards).until(lambda: "set eth1 up" in " ".join(cards.called("ip")))
    assert [cards.read(f"proc/sys/net/ipv6/conf/{name}/accept_ra") for name in (*NAMES, "cni0")] == [
        "2\n",
        "2\n",
        "1\n",
    ]
