"""From a configuration to the files that the boot stages read; a file that is not there means the default.

    hostname            the name
    network.sh          the first card, lines KEY=VALUE: NETWORK_MODE (static, dhcp), NETWORK_INTERFACE or
                        NETWORK_MAC (neither: the first card with a link), NETWORK_ADDRESS (with lengths),
                        NETWORK_GATEWAY, NETWORK_DNS, NETWORK_SEARCH, NETWORK_MTU, NETWORK_VLAN (the card
                        is then its parent), NETWORK_IPV6 (auto, off, static), NETWORK_ROUTES
                        (DESTINATION,ROUTER); several values have blanks between them, and what is not
                        said is left out
    network-2.sh ...    further cards
    flags               flags of the payload on one line, as init/lib/flags.sh reads it
    payload.env         environment variables of the payload, lines NAME=VALUE
    authorized_keys     as sshd(8) has it; SSH is on when the file is there
    ntp                 time servers, one a line; an empty file: none is asked
    airgap              AIRGAP_IMPORT_IMAGES (true, false), AIRGAP_IMAGES_DIR
    registries          container registries, JSON: {name: {mirrors, only-mirrors, username, password, ca}}
    extensions          lines of SHA-256 and path
    kubeconfig-token    hand-over is on when the file is there; an empty one: the node makes a token itself
    update.conf         settings of updates, lines key=value, as in /etc/kubesolo/update.conf
    problems            messages for people, one a line
    report.json         the same for programs, with the sources and the state of each section

Lines are read by the stages, never sourced; no value has a control character in it, which the kinds of all
keys see to. The same configuration gives the same bytes.
"""

from __future__ import annotations

import json

from agent.config.card import Card
from agent.config.model import Config
from agent.config.networkkeys import MAX_CARDS
from agent.config.payload import flags_line

File = tuple[bytes, int]
OPEN = 0o644
SECRET = 0o600
NETWORKS = ("network.sh", *(f"network-{number}.sh" for number in range(2, 2 * MAX_CARDS + 1)))
PROBLEMS = "problems"
REPORT = "report.json"
# Names of files, and the sections that they are made of.
FILES: dict[str, tuple[str, ...]] = {
    "hostname": ("hostname",),
    **dict.fromkeys(NETWORKS, ("network",)),
    "flags": ("kubesolo",),
    "payload.env": ("kubesolo", "portainer"),
    "authorized_keys": ("ssh",),
    "ntp": ("ntp",),
    "airgap": ("airgap",),
    "registries": ("registries",),
    "extensions": ("extensions",),
    "kubeconfig-token": ("kubeconfig",),
    "update.conf": ("update", "metrics"),
}
SECRETS = ("payload.env", "kubeconfig-token", "registries", "update.conf")


def render(config: Config) -> dict[str, File]:
    """Names of files with their bytes and modes, without those of broken sections."""
    lines: dict[str, list[str] | None] = {
        "hostname": [config.hostname] if config.hostname else None,
        "flags": [flags_line(config.flags)] if config.flags else None,
        "payload.env": [f"{name}={value}" for name, value in sorted(edge(config).items())] or None,
        "authorized_keys": config.keys,
        "ntp": config.servers,
        "airgap": [f"{name}={value}" for name, value in config.images.items()] if config.images else None,
        "registries": [json.dumps(config.registries, sort_keys=True)] if config.registries else None,
        "extensions": [f"{digest} {path}" for digest, path in config.extensions] or None,
        "update.conf": [f"{name}={value}" for name, value in {**config.update, **config.metrics}.items()]
        or None,
        "kubeconfig-token": None if config.token is None else [config.token] if config.token else [],
    }
    lines.update(zip(NETWORKS, map(network_lines, config.cards or ()), strict=False))
    broken = broken_files(config)
    return {
        name: ("".join(f"{line}\n" for line in text).encode(), mode_of(name))
        for name, text in lines.items()
        if text is not None and name not in broken
    }


def broken_files(config: Config) -> set[str]:
    """The files that cannot be made, as their sections are broken."""
    names = {name for name, sections in FILES.items() if config.broken & set(sections)}
    if config.portainer_edge and "portainer" not in config.broken:
        names.discard("payload.env")
    return names


def edge(config: Config) -> dict[str, str]:
    """Portainer's variables, those of its own section first."""
    others = {} if "kubesolo" in config.broken else config.kubesolo_edge
    return {**others, **config.portainer_edge}


def mode_of(name: str) -> int:
    """Who may read a file: what holds a secret, root alone."""
    return SECRET if name in SECRETS else OPEN


def network_lines(card: Card) -> list[str]:
    """A card's settings."""
    settings = {
        "MODE": card.mode,
        "INTERFACE": card.interface,
        "MAC": card.mac,
        "ADDRESS": " ".join(card.addresses),
        "GATEWAY": " ".join(card.gateways),
        "DNS": " ".join(card.dns),
        "SEARCH": " ".join(card.search),
        "MTU": str(card.mtu or ""),
        "VLAN": str(card.vlan or ""),
        "IPV6": card.ipv6,
        "ROUTES": " ".join(f"{to},{via}" for to, via in card.routes),
    }
    return [f"NETWORK_{name}={value}" for name, value in settings.items() if value]
