"""Texts of known formats: what each must look like, and its usual form.

A pattern is what an editor can check, in the syntax that ECMA-262 and Python share. A function takes a text
that fits its pattern, returns it in its usual form, says with `warn` what it changes, and raises ValueError
for the rest.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable

Warn = Callable[[str], None]
Interface = ipaddress.IPv4Interface | ipaddress.IPv6Interface
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
IPV4 = rf"{OCTET}(?:\.{OCTET}){{3}}"
IPV6 = "[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*"
IP = f"{IPV4}|{IPV6}"
ADDRESS = rf"(?:{IPV4})(?:/(?:[0-9]{{1,2}}|{IPV4}))?|(?:{IPV6})(?:/[0-9]{{1,3}})?"
NETWORK = rf"(?:{IPV4})/[0-9]{{1,2}}|(?:{IPV6})/[0-9]{{1,3}}"
IPV4_NETWORK = rf"(?:{IPV4})/[0-9]{{1,2}}"
ROUTE = f"default|{NETWORK}|{IP}"
MAC = "[0-9A-Fa-f]{2}(?:[:-][0-9A-Fa-f]{2}){5}"
# Linux, net/core/dev.c: dev_valid_name(); and nothing that a shell or a file name could mind.
CARD = "[A-Za-z0-9_][A-Za-z0-9_.-]{0,14}"
LABEL = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
# RFC 1123, 2.1
NAME = rf"{LABEL}(?:\.{LABEL})*\.?"
SERVER = rf"{LABEL}(?:\.{LABEL})*(?::[0-9]{{1,5}})?|{IPV6}"
SAN = rf"(?:\*\.)?{LABEL}(?:\.{LABEL})*|{IPV6}"
SHA256 = "[0-9A-Fa-f]{64}"
PATH = r"""/[^"'\x00-\x1f]*"""
TOKEN = "[!-~]{16,128}"
TIME = "(?:[01][0-9]|2[0-3]):[0-5][0-9]"
WINDOW = f"{TIME}-{TIME}"
LOOPBACK = "is a loopback address"


def host_name(text: str, warn: Warn) -> str:
    """The node's name: one label in small letters, as Kubernetes and stage 60 want it."""
    if re.fullmatch(IPV4, text):
        raise ValueError("is an address")
    name = text.lower().partition(".")[0]
    if name == "localhost":
        raise ValueError("is the name of every machine")
    if name != text:
        warn(f"{text!r} is used as '{name}': in small letters, without a domain")
    return name


def domain(text: str, warn: Warn) -> str:
    """A name of the DNS."""
    if len(text) > 253:
        raise ValueError("is longer than 253 characters")
    return text.lower()


def address(text: str) -> Address:
    """An address that a host can have."""
    made = ipaddress.ip_address(text)
    if made.is_unspecified:
        raise ValueError("is no host's address")
    if made.is_multicast:
        raise ValueError("is a multicast address")
    if isinstance(made, ipaddress.IPv6Address):
        if made.ipv4_mapped is not None:
            raise ValueError("is an IPv4 address written as IPv6")
    elif made in ipaddress.IPv4Network("0.0.0.0/8") or made in ipaddress.IPv4Network("240.0.0.0/4"):
        raise ValueError("is in a range that no host may use")
    return made


def host_address(text: str, warn: Warn) -> str:
    """The node's own address with its prefix length; /24 and /64 when there is none, as in stage 50."""
    given = text
    if "/" not in text:
        text += "/64" if ":" in text else "/24"
    made = interface(text)
    if made.ip.is_loopback:
        raise ValueError(LOOPBACK)
    if made.ip.is_link_local and made.version == 6:
        raise ValueError("is a link-local address, which every card has by itself")
    refuse_edges(made)
    if given != text:
        warn(f"{given} has no prefix length: taken as {made}")
    return str(made)


def interface(text: str) -> Interface:
    """An address with a prefix length or mask; raises ValueError."""
    try:
        made = ipaddress.ip_interface(text)
    except ValueError:
        raise ValueError("is no address with a prefix length") from None
    address(str(made.ip))
    if made.network.prefixlen == 0:
        raise ValueError("has the prefix length 0")
    return made


def refuse_edges(made: Interface) -> None:
    """The first and the last address of a network are no host's; but RFC 3021 and RFC 6164 allow pairs."""
    if made.network.prefixlen >= made.max_prefixlen - 1:
        return
    if made.ip == made.network.network_address:
        raise ValueError("is the address of the network itself")
    if made.version == 4 and made.ip == made.network.broadcast_address:
        raise ValueError("is the broadcast address of its network")


def router(text: str, warn: Warn) -> str:
    """A router's address."""
    made = some_address(text)
    if made.is_loopback:
        raise ValueError(LOOPBACK)
    return str(made)


def some_address(text: str) -> Address:
    """An address without prefix; raises ValueError in words."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        raise ValueError("is no address") from None
    return address(text)


def name_server(text: str, warn: Warn) -> str:
    """A name server's address."""
    made = some_address(text)
    if made.is_loopback:
        warn(f"{text} is the node itself, where no name server runs; pods cannot reach it")
    return str(made)


def destination(text: str, warn: Warn) -> str:
    """Where a route leads: a network, or `default`."""
    if text == "default":
        return text
    try:
        made = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError("is no network") from None
    if made.prefixlen == 0:
        return "default" if made.version == 4 else str(made)
    if str(made.network_address) != str(ipaddress.ip_interface(text).ip):
        warn(f"{text} is an address in the network {made}, which is used")
    return str(made)


def cluster_network(shortest: int, longest: int) -> Callable[[str, Warn], str]:
    """A network of the cluster's own, by the rules of payload/internal/networks."""

    def check(text: str, warn: Warn) -> str:
        try:
            made = ipaddress.IPv4Network(text, strict=False)
        except ValueError:
            raise ValueError("is no IPv4 network") from None
        if not shortest <= made.prefixlen <= longest:
            raise ValueError(f"has the prefix length {made.prefixlen}, not {shortest} to {longest}")
        if str(made.network_address) != text.partition("/")[0]:
            raise ValueError(f"is an address in the network {made}")
        return str(made)

    return check


def hardware_address(text: str, warn: Warn) -> str:
    """A MAC address with colons."""
    text = text.lower().replace("-", ":")
    if int(text[:2], 16) & 1:
        raise ValueError("is a multicast address, no card's")
    return text


def card(text: str, warn: Warn) -> str:
    """A card by name or by MAC address."""
    if re.fullmatch(MAC, text):
        return hardware_address(text, warn)
    return card_name(text, warn)


def card_name(text: str, warn: Warn) -> str:
    """A card by name."""
    if text == "lo":
        raise ValueError("is the loopback interface")
    return text


def server(text: str, warn: Warn) -> str:
    """A time server: a name or address, with a port where needed."""
    if ":" in text and not re.fullmatch(IPV6, text):
        port = int(text.rpartition(":")[2])
        if not 0 < port < 65536:
            raise ValueError("has a port that cannot be")
        return text.lower()
    return name_or_address(text, warn)


def name_or_address(text: str, warn: Warn) -> str:
    """A name of the DNS, or an address."""
    if ":" in text or re.fullmatch(r"[0-9.]+", text):
        return str(some_address(text))
    return domain(text, warn)


def digest(text: str, warn: Warn) -> str:
    """A SHA-256 in small letters."""
    return text.lower()


def path_below(*folders: str) -> Callable[[str, Warn], str]:
    """An absolute path in one of these folders."""

    def check(text: str, warn: Warn) -> str:
        parts = text.split("/")[1:]
        if ".." in parts or "." in parts:
            raise ValueError("has '.' or '..' in it")
        path = "/" + "/".join(part for part in parts if part)
        if ",--" in path:
            raise ValueError("has ',--' in it, which separates flags")
        if not any(path == folder or path.startswith(f"{folder}/") for folder in folders):
            raise ValueError(f"is not in {' or '.join(folders)}, and would be gone at the next boot")
        return path

    return check


def kept_file(text: str, warn: Warn) -> str:
    """A file that is still there after a boot."""
    return path_below("/etc/kubesolo", "/mnt/data", "/usr")(text, warn)


def public_key(text: str, warn: Warn) -> str:
    """A key in small letters, or a file that has keys."""
    return kept_file(text, warn) if text.startswith("/") else text.lower()


def web_address(text: str, warn: Warn) -> str:
    """An http or https address with a host, and a port that can be."""
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host:
        raise ValueError("has no host, or a port that cannot be")
    return text


def window(text: str, warn: Warn) -> str:
    """A part of the day, which has an end."""
    begin, _, end = text.partition("-")
    if begin == end:
        raise ValueError("begins when it ends; leave the key away to allow any time")
    return text
