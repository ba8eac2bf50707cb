"""Netplan's form of the network, version 2, as far as this system knows it."""

from __future__ import annotations

from agent.config.card import Card, check_card, check_cards
from agent.config.fields import Fields
from agent.config.problems import Problems, join, nearest


def read_cards(network: Fields, problems: Problems) -> list[Card]:
    """The cards and VLANs, in the order of the file."""
    ethernets = dict(network.fields("ethernets").entries())
    vlans = dict(network.fields("vlans").entries())
    used = {fields.text("link") for fields in vlans.values()}
    cards = []
    for name, fields in ethernets.items():
        if is_configured(fields):
            card = read_link(fields, problems)
            name_card(card, name, fields, problems)
            cards.append(card)
        elif name not in used:
            problems.warn(
                fields.place, fields.path, "has neither dhcp4 nor dhcp6 nor addresses: it is left alone"
            )
    for fields in vlans.values():
        if (vlan := read_vlan(fields, network, problems)) is not None:
            cards.append(vlan)
    check_cards(cards, problems)
    return cards


def is_configured(fields: Fields) -> bool:
    """Whether a link is to get any address."""
    wanted = fields.flag("dhcp4") or fields.flag("dhcp6") or fields.given("addresses")
    return bool(wanted or {"dhcp4", "dhcp6"} & fields.bad)


def read_link(fields: Fields, problems: Problems) -> Card:
    """What an Ethernet card and a VLAN have in common."""
    card = Card(fields.path, fields.place)
    card.addresses = fields.texts("addresses")
    card.mode = "dhcp" if fields.flag("dhcp4") else "static"
    card.gateways = [text for name in ("gateway4", "gateway6") if (text := fields.text(name))]
    for route in fields.rows("routes"):
        if (to := route.text("to")) and (via := route.text("via")):
            card.add_route(to, via)
    servers = fields.fields("nameservers")
    card.dns = servers.texts("addresses")
    card.search = servers.texts("search")
    card.mtu = fields.number("mtu") or 0
    has_ipv6 = any(":" in address for address in card.addresses)
    listens = fields.flag("accept-ra") is not False or fields.flag("dhcp6") is True
    card.ipv6 = "auto" if listens else "static" if has_ipv6 else "off"
    if card.mode == "static" and not fields.given("addresses") and fields.flag("dhcp6") is True:
        what = "IPv6 alone is not enough, as Kubernetes' own networks are IPv4: add dhcp4 or an IPv4 address"
        problems.error(fields.place_of("dhcp6"), join(fields.path, "dhcp6"), what)
    else:
        check_card(card, fields, problems)
    return card


def name_card(card: Card, name: str, fields: Fields, problems: Problems) -> None:
    """Which card an entry of `ethernets` is about."""
    match = fields.fields("match")
    card.mac = match.text("macaddress")
    card.interface = match.text("name") or ("" if fields.given("match") and card.mac else name)
    if card.mac:
        card.interface = ""
    if len(card.interface) > 15:
        problems.error(fields.place, fields.path, "is no card's name (at most 15 characters); use match")
    wanted = fields.text("set-name")
    if wanted and wanted != card.interface:
        what = (
            "is not done: cards keep the names that the kernel gives them, and are found by what 'match' says"
        )
        problems.warn(fields.place_of("set-name"), join(fields.path, "set-name"), what)


def read_vlan(fields: Fields, network: Fields, problems: Problems) -> Card | None:
    """An entry of `vlans`; None when it cannot be placed."""
    link = fields.text("link")
    ethernets = network.fields("ethernets")
    if not fields.given("id") or not link:
        return None
    if not ethernets.given(link):
        names = list(ethernets.values)
        what = (
            f"'{link}' is no entry of ethernets; there is: {', '.join(names) or 'none'}{nearest(link, names)}"
        )
        problems.error(fields.place_of("link"), join(fields.path, "link"), what)
        return None
    if not is_configured(fields):
        problems.warn(
            fields.place, fields.path, "has neither dhcp4 nor dhcp6 nor addresses: it is left alone"
        )
        return None
    card = read_link(fields, problems)
    card.vlan = fields.number("id") or 0
    parent = Card(card.path, card.place)
    name_card(parent, link, ethernets.fields(link), Problems(problems.file))
    card.interface, card.mac = parent.interface, parent.mac
    return card
