"""Files that configure a node: one YAML file, or the three of a NoCloud medium (cloud-init, "NoCloud")."""

from __future__ import annotations

from agent.config import tree
from agent.config.encoding import UnreadableError, decode
from agent.config.fields import Fields
from agent.config.keys import HEADER, META_DATA, ROOT
from agent.config.model import Config, build
from agent.config.networkkeys import NETPLAN
from agent.config.problems import NOWHERE, Problem, Problems, errors

# What else user-data may be for cloud-init ("User-data formats"), by its beginning in small letters.
OTHER_FORMATS = (
    ("content-type:", "is MIME in several parts"),
    ("mime-version:", "is MIME in several parts"),
    ("#!", "is a script"),
    ("#include", "is a list of addresses to include"),
    ("#cloud-boothook", "is a boot hook"),
    ("#part-handler", "is a part handler"),
    ("#cloud-config-archive", "is an archive of several parts"),
    ("## template:", "is a template"),
    ("#upstart-job", "is an Upstart job"),
)


class Reading:
    """What was made of one source. `config` is None when nothing at all could be made out of it."""

    def __init__(self, config: Config | None, problems: list[Problem]) -> None:
        self.config = config
        self.problems = problems


def read_file(name: str, data: bytes, boot: bool = False) -> Reading:
    """One YAML file."""
    problems = Problems(name, boot)
    root = read_user_data(data, problems, strict=False)
    if root is None:
        return Reading(None, problems.found)
    return Reading(build(root, problems), problems.found)


def read_nocloud(
    user_data: tuple[str, bytes] | None, meta_data: tuple[str, bytes] | None,
    network_config: tuple[str, bytes] | None, boot: bool = False,
) -> Reading:  # fmt: skip
    """The files of a NoCloud medium, as names and bytes.

    As with cloud-init, user-data counts only with `#cloud-config` in front, its host name comes before meta-
    data's, and the network is that of network-config; of user-data only when there is no network-config.
    """
    root: Fields | None = Fields(NOWHERE, "")
    main = Problems(user_data[0] if user_data else "user-data", boot)
    if user_data is not None and user_data[1].strip():
        root = read_user_data(user_data[1], main, strict=True)
    if root is None:
        return Reading(None, main.found)
    names = take_host_name(root, meta_data, boot)
    network = Problems(network_config[0] if network_config else "network-config", boot)
    if network_config is not None and network_config[1].strip():
        take_network(root, read_network_config(network_config[1], network), main, network)
    config = build(root, main, network if network_config is not None and root.given("network") else None)
    if errors(names.found) and not root.given("hostname"):
        config.given.add("hostname")
        config.broken.add("hostname")
    return Reading(config, [*main.found, *network.found, *names.found])


def take_network(root: Fields, network: Fields | None, main: Problems, problems: Problems) -> None:
    """Let the network of network-config win, even if it is wrong."""
    if network is None and not errors(problems.found):
        return
    if root.given("network"):
        main.warn(root.place_of("network"), "network", f"is not used: the network is that of {problems.file}")
    root.values.pop("network", None)
    if network is None:
        root.bad.add("network")
    else:
        root.values["network"] = network


def read_user_data(data: bytes, problems: Problems, strict: bool) -> Fields | None:
    """The fields of a file with all sections, None when it cannot be read at all.

    Without its header it is refused when `strict`, else warned about.
    """
    try:
        text = decode(data)
        first = "".join(text.lstrip().splitlines()[:1]).strip()
        for start, what in OTHER_FORMATS:
            if first.lower().startswith(start):
                raise UnreadableError(
                    f"{what}; only '{HEADER}' is supported, and nothing is executed", (1, 1)
                )
        if first != HEADER and text.strip():
            what = f"the first line is not '{HEADER}'"
            if strict:
                raise UnreadableError(f"{what}: cloud-init would not read this file either", (1, 1))
            problems.warn((1, 1), "", f"{what}, by which editors and cloud-init know such a file")
        node = tree.parse(text)
    except UnreadableError as error:
        problems.error(error.place, "", error.text)
        return None
    if node is None:
        problems.warn(NOWHERE, "", "is empty: nothing is configured")
        return Fields(NOWHERE, "")
    found = ROOT.read(node, "", problems)
    return found if isinstance(found, Fields) else None


def read_network_config(data: bytes, problems: Problems) -> Fields | None:
    """The network of network-config, with or without `network:` around it; None when empty or wrong."""
    try:
        node = tree.parse(decode(data))
    except UnreadableError as error:
        problems.error(error.place, "network", error.text)
        return None
    if isinstance(node, tree.Mapping):
        node = next((value for name, value in node.entries if name.text == "network"), node)
    if node is None:
        return None
    if isinstance(node, tree.Mapping) and version_of(node) == "1":
        what = "version 1 of the network's configuration is not supported; write version: 2 (netplan)"
        problems.error(node.place, "network", what)
        return None
    found = NETPLAN.read(node, "network", problems)
    return found if isinstance(found, Fields) else None


def version_of(node: tree.Mapping) -> str:
    """The text of the key `version`."""
    texts = [
        value.text
        for name, value in node.entries
        if name.text == "version" and isinstance(value, tree.Scalar)
    ]
    return texts[0] if texts else ""


def take_host_name(root: Fields, file: tuple[str, bytes] | None, boot: bool) -> Problems:
    """Give the configuration meta-data's host name where it has none of its own."""
    problems = Problems(file[0] if file else "meta-data", boot)
    if file is None:
        return problems
    try:
        node = tree.parse(decode(file[1]))
    except UnreadableError as error:
        problems.error(error.place, "", error.text)
        return problems
    fields = META_DATA.read(node, "", problems) if node is not None else None
    if isinstance(fields, Fields) and not root.given("hostname"):
        name = fields.text("local-hostname") or fields.text("hostname")
        if name:
            root.put("hostname", name, NOWHERE)
    return problems
