"""The keys of the network: the simple form, and netplan's version 2 (its "YAML configuration")."""

from __future__ import annotations

from agent.config import formats
from agent.config.kinds import Anything, Boolean, Choice, Kind, ListOf, Text, Whole
from agent.config.records import Key, Record, Table

ADDRESS = Text(
    "an IPv4 or IPv6 address of this node with its prefix length, such as 192.168.1.100/24",
    formats.ADDRESS,
    formats.host_address,
    64,
)
ROUTER = Text("a router's address, such as 192.168.1.1 or fe80::1", formats.IP, formats.router, 45)
ROUTER4 = Text("a router's IPv4 address, such as 192.168.1.1", formats.IPV4, formats.router, 15)
ROUTER6 = Text("a router's IPv6 address, such as 2001:db8::1 or fe80::1", formats.IPV6, formats.router, 45)
NAME_SERVER = Text("an address of a name server, such as 9.9.9.9", formats.IP, formats.name_server, 45)
DOMAIN = Text("a domain, such as example.com", formats.NAME, formats.domain, 253)
CARD = Text(
    "a card's name, such as eth0, or its MAC address, such as 52:54:00:12:34:56",
    f"{formats.MAC}|{formats.CARD}",
    formats.card,
    17,
)
MAC = Text("a MAC address, such as 52:54:00:12:34:56", formats.MAC, formats.hardware_address, 17)
CARD_NAME = Text("a card's name, such as eth0, of at most 15 characters", formats.CARD, formats.card_name, 15)
MTU = Whole(576, 9216)
VLAN = Whole(1, 4094)
MAX_CARDS = 8

TO = Key(
    "to",
    Text("a network, such as 10.0.0.0/8, or default", formats.ROUTE, formats.destination, 64),
    "Where the route leads.",
    example='"10.0.0.0/8"',
)
VIA = Key(
    "via", ROUTER, "The router that is on the way, in the card's own network.", example='"192.168.1.254"'
)


def unsupported(names: str) -> list[Key]:
    """Keys of netplan that have no effect here."""
    return [
        Key(
            name,
            Anything(),
            f"netplan's `{name}`; has no effect.",
            ignored="netplan has it, this system does not",
        )
        for name in names.split()
    ]


ROUTES = ListOf(Record(TO, VIA, needed=("to", "via")), 64)
CARD_KEYS = (
    Key(
        "mode",
        Choice("dhcp", "static"),
        "`static` with an address of your own, or `dhcp`. Without it, it is `static` if there is an address.",
        default='"dhcp"',
    ),
    Key(
        "interface",
        CARD,
        "The card, by name or by MAC address; a MAC address stays with the card when another one is "
        "added. Without "
        "it, the first card with a link is used.",
        example='"eth0"',
    ),
    Key(
        "address",
        ListOf(ADDRESS, 16, single=True),
        "The node's addresses with their prefix lengths. With `mode: dhcp`, IPv6 addresses only.",
        example='"192.168.1.100/24"',
    ),
    Key(
        "gateway",
        ListOf(ROUTER, 2, single=True),
        "The router to everywhere else: an IPv4 address, an IPv6 address, or one of each.",
        example='"192.168.1.1"',
    ),
    Key(
        "gateway6",
        ROUTER6,
        "The IPv6 router, as in netplan; the same can stand in `gateway`.",
        example='"fe80::1"',
    ),
    Key(
        "dns",
        ListOf(NAME_SERVER, 8, single=True),
        "Name servers, asked in this order. With `mode: dhcp`, these are used and not those of the lease.",
        example='["192.168.1.1", "9.9.9.9"]',
    ),
    Key(
        "search",
        ListOf(DOMAIN, 6, single=True),
        "Domains that short names are looked up in.",
        example='["example.com"]',
    ),
    Key("mtu", MTU, "The longest packet in bytes. IPv6 needs 1280.", example="1500"),
    Key(
        "vlan",
        VLAN,
        "The number of a tagged VLAN. All other keys are then of the VLAN, and `interface` "
        "is the card "
        "that it is on.",
        example="10",
    ),
    Key(
        "ipv6",
        Choice("auto", "off", "static"),
        "`auto`: by router advertisement, beside the addresses given. `static`: only the addresses given. "
        "`off`: no "
        "IPv6 on this card. Without it, it is `static` if there is an IPv6 address.",
        default='"auto"',
    ),
    Key("routes", ROUTES, "More routes.", example='[{"to": "10.0.0.0/8", "via": "192.168.1.254"}]'),
)

NETPLAN_ROUTES = ListOf(
    Record(
        TO,
        VIA,
        *unsupported(
            "metric on-link from table type scope mtu advertised-mss congestion-window "
            "advertised-receive-window"
        ),
        needed=("to", "via"),
    ),
    64,
)
NAMESERVERS = Record(
    Key("addresses", ListOf(NAME_SERVER, 8), "Name servers, asked in this order.", example='["9.9.9.9"]'),
    Key("search", ListOf(DOMAIN, 6), "Domains that short names are looked up in.", example='["example.com"]'),
)
LINK_KEYS = (
    Key("dhcp4", Boolean(), "IPv4 by DHCP.", default="false"),
    Key("dhcp6", Boolean(), "IPv6 by itself: by router advertisement.", default="false"),
    Key("accept-ra", Boolean(), "Whether IPv6 router advertisements count.", default="true"),
    Key(
        "addresses",
        ListOf(ADDRESS, 16),
        "The node's addresses with their prefix lengths.",
        example='["192.168.1.100/24"]',
    ),
    Key("gateway4", ROUTER4, "The IPv4 router; the same as a route to `default`.", example='"192.168.1.1"'),
    Key("gateway6", ROUTER6, "The IPv6 router.", example='"fe80::1"'),
    Key(
        "routes",
        NETPLAN_ROUTES,
        "More routes; one to `default` names the router.",
        example='[{"to": "default", "via": "192.168.1.1"}]',
    ),
    Key("nameservers", NAMESERVERS, "Name servers and search domains.", example='{"addresses": ["9.9.9.9"]}'),
    Key("mtu", MTU, "The longest packet in bytes. IPv6 needs 1280.", example="1500"),
    Key("optional", Boolean(), "Accepted; no boot of this system waits long for a card.", default="false"),
    *unsupported(
        "renderer dhcp-identifier dhcp4-overrides dhcp6-overrides link-local critical optional-addresses "
        "activation-mode ignore-carrier routing-policy macaddress ipv6-privacy ipv6-address-generation "
        "ipv6-address-token ipv6-mtu neigh-suppress networkmanager"
    ),
)
MATCH = Record(
    Key("macaddress", MAC, "The card with this MAC address.", example='"52:54:00:12:34:56"'),
    Key("name", CARD_NAME, "The card of this name; patterns are not supported.", example='"eth0"'),
    *unsupported("driver"),
)
ETHERNET = Record(
    Key(
        "match",
        MATCH,
        "Which card it is. Without it, the entry's name is the card's.",
        example='{"macaddress": "52:54:00:12:34:56"}',
    ),
    Key(
        "set-name", CARD_NAME, "Accepted; cards keep the names that the kernel gives them.", example='"lan0"'
    ),
    *LINK_KEYS,
    *unsupported(
        "wakeonlan emit-lldp receive-checksum-offload transmit-checksum-offload tcp-segmentation-offload "
        "tcp6-segmentation-offload generic-segmentation-offload generic-receive-offload "
        "large-receive-offload auth openvswitch virtual-function-count embedded-switch-mode link "
        "delay-virtual-functions-rebind infiniband-mode"
    ),
)
VLAN_LINK = Record(
    Key("id", VLAN, "The number of the VLAN.", example="10"),
    Key(
        "link",
        Text("the name of an entry of `ethernets`", "[A-Za-z0-9_.-]+", longest=64),
        "The entry of `ethernets` that the VLAN is on.",
        example='"eth0"',
    ),
    *LINK_KEYS,
    needed=("id", "link"),
)
NAMES = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}"
VERSION = Key(
    "version",
    Whole(2, 2, "2; version 1 is not supported"),
    "The version of netplan's form, which is 2; version 1 is not supported.",
    default="2",
)
ETHERNETS = Key(
    "ethernets",
    Table(ETHERNET, NAMES, "names such as eth0 (letters, digits, '.', '-', '_')", MAX_CARDS),
    "Cards, each under its name or, with `match`, under any name.",
    example='{"eth0": {"dhcp4": true}}',
)
VLANS = Key(
    "vlans",
    Table(VLAN_LINK, NAMES, "names such as vlan10 (letters, digits, '.', '-', '_')", MAX_CARDS),
    "VLANs, each under a name of your choice.",
    example='{"vlan10": {"id": 10, "link": "eth0", "dhcp4": true}}',
)
NETPLAN_KEYS = (
    VERSION,
    ETHERNETS,
    VLANS,
    *unsupported(
        "renderer bonds bridges wifis modems tunnels vrfs virtual-ethernets dummy-devices nm-devices "
        "openvswitch"
    ),
)
CARDS = Key(
    "cards",
    ListOf(Record(*CARD_KEYS), MAX_CARDS),
    "Several cards: a list of the keys above, each with its `interface`. The first one is the node's "
    "address.",
    example='[{"interface": "eth0"}, {"interface": "eth1", "address": "10.0.0.2/24"}]',
)
NETWORK: Kind = Record(
    *CARD_KEYS,
    CARDS,
    *NETPLAN_KEYS,
    forms=(
        ("the simple form", tuple(key.name for key in CARD_KEYS)),
        ("the list of cards", ("cards",)),
        ("netplan's form", ("version", "ethernets", "vlans")),
    ),
)
# What a file network-config of NoCloud may hold.
NETPLAN = Record(*NETPLAN_KEYS)
