"""The simple form of the network."""

from __future__ import annotations

import re

from agent.config.card import Card, check_card, check_cards
from agent.config.fields import Fields
from agent.config.formats import MAC
from agent.config.problems import Problems


def read_cards(network: Fields, problems: Problems) -> list[Card]:
    """The cards of the simple form or of `cards`."""
    rows = network.rows("cards") if network.given("cards") else [network]
    cards = []
    for row in rows:
        card = read_card(row)
        check_card(card, row, problems)
        cards.append(card)
    check_cards(cards, problems)
    return cards


def read_card(fields: Fields) -> Card:
    """One card."""
    card = Card(fields.path, fields.place)
    card.addresses = fields.texts("address")
    card.mode = fields.text("mode") or ("static" if fields.given("address") else "dhcp")
    name = fields.text("interface")
    card.named = fields.given("interface")
    if re.fullmatch(MAC, name):
        card.mac = name
    else:
        card.interface = name
    card.gateways = fields.texts("gateway")
    if (router := fields.text("gateway6")) and router not in card.gateways:
        card.gateways.append(router)
    card.dns = fields.texts("dns")
    card.search = fields.texts("search")
    card.mtu = fields.number("mtu") or 0
    card.vlan = fields.number("vlan") or 0
    has_ipv6 = any(":" in address for address in card.addresses)
    card.ipv6 = fields.text("ipv6") or ("static" if has_ipv6 else "auto")
    for route in fields.rows("routes"):
        if (to := route.text("to")) and (via := route.text("via")):
            card.add_route(to, via)
    return card
