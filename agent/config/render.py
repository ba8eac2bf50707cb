"""From a configuration to the files that the boot stages read.

Lines KEY=VALUE are read by the stages, never sourced; no value has a control character in it, which the kinds
of all keys see to. The same configuration gives the same bytes.
"""

from __future__ import annotations

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
    "extensions": ("extensions",),
    "kubeconfig-token": ("kubeconfig",),
}


def render(config: Config) -> dict[str, File]:
    """Names of files with their bytes and modes, without those of broken sections."""
    lines: dict[str, list[str] | None] = {
        "hostname": [config.hostname] if config.hostname else None,
        "flags": [flags_line(config.flags)] if config.flags else None,
        "payload.env": [f"{name}={value}" for name, value in config.edge.items()] or None,
        "authorized_keys": config.keys,
        "ntp": config.servers,
        "airgap": [f"{name}={value}" for name, value in config.images.items()] if config.images else None,
        "extensions": [f"{digest} {path}" for digest, path in config.extensions] or None,
        "kubeconfig-token": None if config.token is None else [config.token] if config.token else [],
    }
    lines.update(zip(NETWORKS, map(network_lines, config.cards or ()), strict=False))
    return {
        name: ("".join(f"{line}\n" for line in text).encode(), mode_of(name))
        for name, text in lines.items()
        if text is not None and not config.broken & set(FILES[name])
    }


def mode_of(name: str) -> int:
    """Who may read a file: what holds a secret, root alone."""
    return SECRET if name in ("payload.env", "kubeconfig-token") else OPEN


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
