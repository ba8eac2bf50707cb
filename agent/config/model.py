"""A configuration: what a node is to be, by sections."""

from __future__ import annotations

import ipaddress

from agent.config import netplan, payload, registries, simplenet
from agent.config.card import Card
from agent.config.fields import Fields
from agent.config.keys import EXTENSIONS, IMAGES, KUBESOLO
from agent.config.problems import ERROR, Problems, join

SECTIONS = (
    "hostname", "network", "kubesolo", "portainer", "ssh", "ntp", "airgap", "registries", "extensions",
    "kubeconfig", "update", "metrics",
)  # fmt: skip
YES_NO = {True: "yes", False: "no"}
# Seconds.
SHORTEST_TRIAL = 60
# Top-level keys that are part of a section of another name.
ALIASES = {"ssh_authorized_keys": "ssh"}


class Config:
    """What is configured; a section that is not in `given` has its defaults, one in `broken` is left out.

    `cards` is None where nothing is said of the network; `servers`, `keys` and `images` likewise.
    """

    def __init__(self) -> None:
        self.given: set[str] = set()
        self.broken: set[str] = set()
        self.hostname = ""
        self.cards: list[Card] | None = None
        self.flags: list[str] = []
        self.kubesolo_edge: dict[str, str] = {}
        self.portainer_edge: dict[str, str] = {}
        self.keys: list[str] | None = None
        self.servers: list[str] | None = None
        self.images: dict[str, str] | None = None
        self.registries: dict[str, dict[str, object]] = {}
        self.extensions: list[tuple[str, str]] = []
        self.token: str | None = None
        self.update: dict[str, str] = {}
        self.metrics: dict[str, str] = {}

    @property
    def applied(self) -> list[str]:
        """The sections that are given and right."""
        return [name for name in SECTIONS if name in self.given - self.broken]


def build(root: Fields, problems: Problems, network_problems: Problems | None = None) -> Config:
    """The configuration that a file's fields mean; what is wrong makes its section broken.

    `network_problems` are those of another file, if the network comes from there.
    """
    config = Config()
    config.given = {section_of(name) for name in (*root.values, *root.bad)} & set(SECTIONS)
    config.hostname = root.text("hostname")
    if network := root.values.get("network"):
        assert isinstance(network, Fields)
        config.cards = read_network(network, network_problems or problems)
    read_payload(config, root, problems)
    read_access(config, root, problems)
    read_services(config, root, problems)
    config.registries = registries.read(root.fields("registries"), problems)
    read_updates(config, root, problems)
    check_ranges(config, root, problems)
    found = [*problems.found, *(network_problems.found if network_problems else ())]
    config.broken = {section_of(problem.key) for problem in found if problem.severity == ERROR}
    return config


def section_of(key: str) -> str:
    """The section that a key's path belongs to."""
    name = key.partition(".")[0].partition("[")[0]
    return ALIASES.get(name, name)


def read_network(network: Fields, problems: Problems) -> list[Card]:
    """The cards, in whichever form they are given."""
    if any(network.given(name) for name in ("version", "ethernets", "vlans")):
        return netplan.read_cards(network, problems)
    return simplenet.read_cards(network, problems)


def read_payload(config: Config, root: Fields, problems: Problems) -> None:
    """Sections kubesolo and portainer."""
    kubesolo = root.fields("kubesolo")
    kinds = {name: key.kind for name, key in KUBESOLO.keys.items()}
    config.flags = payload.read_flags(kubesolo, kinds, problems)
    portainer = root.fields("portainer")
    config.kubesolo_edge = payload.read_edge(kubesolo, payload.OF_EDGE)
    config.portainer_edge = payload.read_edge(portainer, payload.EDGE)
    payload.check_edge(kubesolo, portainer, problems)


def read_access(config: Config, root: Fields, problems: Problems) -> None:
    """Sections ssh and kubeconfig."""
    ssh = root.fields("ssh")
    keys = list(dict.fromkeys([*ssh.texts("authorized_keys"), *root.texts("ssh_authorized_keys")]))
    if ssh.flag("enabled"):
        config.keys = keys
        if not keys and not ssh.bad and "ssh_authorized_keys" not in root.bad:
            problems.warn(
                ssh.place, ssh.path, "is enabled without any key in 'authorized_keys': nobody can log in"
            )
    elif keys and not ssh.given("enabled"):
        what = "has keys, but SSH is off unless 'ssh: {enabled: true}' is there"
        problems.warn(
            root.place_of("ssh" if ssh.texts("authorized_keys") else "ssh_authorized_keys"), "ssh", what
        )
    kubeconfig = root.fields("kubeconfig")
    token = kubeconfig.text("token")
    enabled = kubeconfig.flag("enabled")
    if enabled or (token and enabled is None):
        config.token = token


def read_services(config: Config, root: Fields, problems: Problems) -> None:
    """Sections ntp, airgap and extensions."""
    ntp = root.fields("ntp")
    if ntp.flag("enabled") is False:
        config.servers = []
    else:
        config.servers = ntp.texts("servers") or None
    if root.given("airgap"):
        airgap = root.fields("airgap")
        config.images = {
            "AIRGAP_IMPORT_IMAGES": str(airgap.flag("import_images") is not False).lower(),
            "AIRGAP_IMAGES_DIR": airgap.text("images_dir") or IMAGES,
        }
    for extension in root.rows("extensions"):
        path = f"{EXTENSIONS}/{extension.text('file')}"
        if extension.text("file") and any(path == other for _, other in config.extensions):
            problems.error(*extension.where("file"), "is there twice; keep one")
        config.extensions.append((extension.text("sha256"), path))


def read_updates(config: Config, root: Fields, problems: Problems) -> None:
    """Sections update and metrics, as the lines of update.conf."""
    update = root.fields("update")
    for name, value in update.values.items():
        config.update[name] = YES_NO[value] if isinstance(value, bool) else str(value)
    if 0 < (update.number("auto-rollback-after") or 0) < SHORTEST_TRIAL:
        what = f"a node does not become Ready within so few seconds; allowed: 0, or {SHORTEST_TRIAL} and more"
        problems.error(*update.where("auto-rollback-after"), what)
    enabled = root.fields("metrics").flag("enabled")
    if enabled is not None:
        config.metrics["metrics"] = YES_NO[enabled]


def check_ranges(config: Config, root: Fields, problems: Problems) -> None:
    """Chosen networks of the cluster must be apart from the networks that the node is in."""
    kubesolo = root.fields("kubesolo")
    for name in ("pod-cidr", "service-cidr"):
        if not (text := kubesolo.text(name)):
            continue
        chosen = ipaddress.ip_network(text)
        for card in config.cards or ():
            for address in card.interfaces():
                if chosen.version == address.version and chosen.overlaps(address.network):
                    what = f"{chosen} overlaps the node's own network {address.network}; choose another one"
                    problems.error(kubesolo.place_of(name), join(kubesolo.path, name), what)
