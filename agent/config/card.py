"""One network card as the boot stages configure it, and what must be true of it and of several together."""

from __future__ import annotations

import ipaddress

from agent.config.fields import Fields
from agent.config.formats import Interface
from agent.config.problems import Place, Problems

IPV6_MTU = 1280


class Card:
    """A card, or with `vlan` a VLAN on it; `named` or known by its MAC address, else the first with a link.

    `addresses` have prefix lengths; `routes` are pairs of destination and router; `mtu` and `vlan` are 0 for
    none. `place` and `path` say where in the file it is described.
    """

    __slots__ = (
        "addresses", "dns", "gateways", "interface", "ipv6", "mac", "mode", "mtu", "named", "path", "place",
        "routes", "search", "vlan",
    )  # fmt: skip

    def __init__(self, path: str, place: Place) -> None:
        self.path = path
        self.place = place
        self.mode = "dhcp"
        self.named = True
        self.interface = ""
        self.mac = ""
        self.addresses: list[str] = []
        self.gateways: list[str] = []
        self.dns: list[str] = []
        self.search: list[str] = []
        self.mtu = 0
        self.vlan = 0
        self.ipv6 = "auto"
        self.routes: list[tuple[str, str]] = []

    def interfaces(self) -> list[Interface]:
        """The addresses with their networks."""
        return [ipaddress.ip_interface(text) for text in self.addresses]

    def add_route(self, to: str, via: str) -> None:
        """Note a route; one to everywhere names a gateway."""
        if to in ("default", "::/0"):
            if via not in self.gateways:
                self.gateways.append(via)
        else:
            self.routes.append((to, via))


def check_card(card: Card, fields: Fields, problems: Problems) -> None:
    """Compare the parts of a card with each other; `fields` know where they stand."""

    check_mode(card, fields, problems)
    check_routers(card, fields, problems)
    check_ipv6(card, fields, problems)
    for to, via in card.routes:
        if ipaddress.ip_network(to).version != ipaddress.ip_address(via).version:
            what = f"the route to {to} has the router {via} of the other IP version"
            problems.error(*fields.where("routes"), what)


def check_routers(card: Card, fields: Fields, problems: Problems) -> None:
    """One router of each IP version, where the node has an address of that version."""
    own = card.interfaces()
    routers = [ipaddress.ip_address(text) for text in card.gateways]
    where = fields.where("gateway", "gateway4", "gateway6", "routes")
    for version in (4, 6):
        same = [router for router in routers if router.version == version]
        if len(same) > 1:
            problems.error(*where, f"two IPv{version} routers, {same[0]} and {same[1]}; one is allowed")
    for router in routers:
        networks = [address.network for address in own if address.version == router.version]
        if router.version == 4 and card.mode == "dhcp":
            problems.error(*where, f"the router {router} beside DHCP, which names one; keep one of them")
        elif router.version == 4 and not networks and card.addresses:
            problems.error(*where, f"the router {router} needs an IPv4 address of the node")
        elif router.version == 6 and card.ipv6 == "off":
            problems.error(*where, f"the router {router} is for IPv6, which is off")
        elif any(router == address.ip for address in own):
            problems.error(*where, f"{router} is the node's own address; it must be the router's")
        elif networks and not router.is_link_local and not any(router in network for network in networks):
            what = f"the router {router} is outside of {networks[0]}; it must be on the same wire"
            problems.warn(*where, what)


def check_mode(card: Card, fields: Fields, problems: Problems) -> None:
    """An address of one's own or DHCP, but not both for IPv4."""
    fourth = [address for address in card.interfaces() if address.version == 4]
    where = fields.where("addresses", "address")
    if card.mode == "dhcp" and fourth:
        what = f"{fourth[0]} and DHCP for IPv4 at once; keep one of them"
        problems.error(*where, what)
    if card.mode == "static" and not card.addresses and where[1] == fields.path:
        problems.error(fields.place, fields.path, "mode: static needs an address, such as 192.168.1.100/24")


def check_ipv6(card: Card, fields: Fields, problems: Problems) -> None:
    """What IPv6 needs, and that it is not off and configured."""
    sixth = [address for address in card.interfaces() if address.version == 6]
    if sixth and card.ipv6 == "off":
        problems.error(
            *fields.where("ipv6", "accept-ra"),
            f"IPv6 is off, but {sixth[0]} is an IPv6 address; use auto or static",
        )
    if not sixth and card.ipv6 == "static":
        problems.error(*fields.where("ipv6"), "static needs an IPv6 address in 'address'")
    if card.mtu and card.mtu < IPV6_MTU and (sixth or card.ipv6 == "static"):
        problems.error(*fields.where("mtu"), f"{card.mtu} is too short for IPv6, which needs {IPV6_MTU}")


def check_cards(cards: list[Card], problems: Problems) -> None:
    """Compare several cards: each must be known apart from the others, and addresses must be."""
    names: dict[tuple[str, str, int], Card] = {}
    addresses: dict[str, Card] = {}
    for card in cards:
        if len(cards) > 1 and not card.named:
            problems.error(card.place, card.path, "has no 'interface'; of several cards, each must be named")
        elif (card.interface or card.mac) and (known := (card.interface, card.mac, card.vlan)) in names:
            first = names[known]
            problems.error(
                card.place, card.path, f"is the same card as {first.path} in line {first.place[0]}"
            )
        else:
            names[card.interface, card.mac, card.vlan] = card
        for address in card.interfaces():
            if (other := addresses.setdefault(str(address.ip), card)) is not card:
                problems.error(card.place, card.path, f"has the address {address.ip} of {other.path} too")
    if cards and all(card.mode == "static" and card.addresses and not has_ipv4(card) for card in cards):
        what = "no card has an IPv4 address; pods and services have IPv4 addresses only"
        problems.warn(cards[0].place, cards[0].path, what)
    routers = [card for card in cards if any(":" not in gateway for gateway in card.gateways)]
    if len(routers) > 1:
        what = f"is the second card with an IPv4 router, after {routers[0].path}; the first one's is used"
        problems.warn(routers[1].place, routers[1].path, what)


def has_ipv4(card: Card) -> bool:
    """Whether a card has an IPv4 address of its own."""
    return any(address.version == 4 for address in card.interfaces())
