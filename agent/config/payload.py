"""The payload's flags and its secrets, from the sections kubesolo and portainer."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence

from agent.config import tree
from agent.config.fields import Fields
from agent.config.kinds import BAD, Kind
from agent.config.problems import Place, Problems, join, nearest

# Rendered as `--name` when true.
SWITCHES = ("debug", "pprof-server", "load-balancer", "disable-ipv6", "db-wal-repair", "full")
VALUES = ("path", "local-storage-shared-path", "pod-cidr", "service-cidr")
LOCAL = "local-storage"
# Where the data partition's folder of the payload is mounted.
STATE = "/var/lib/kubesolo"
SANS = "apiserver-extra-sans"
DISABLED = "disable-addons"
LISTS = (SANS, DISABLED)
# Add-ons that are there unless they are switched off (payload/internal/options).
ADDONS = ("coredns", "metrics")
EDGE = ("edge-id", "edge-key", "edge-async")
OF_EDGE = tuple(f"portainer-{name}" for name in EDGE)
VARIABLES = tuple(f"KUBESOLO_{name.replace('-', '_').upper()}" for name in OF_EDGE)
DEFAULT_PODS = "10.42.0.0/16"
DEFAULT_SERVICES = "10.43.0.0/16"


def read_flags(kubesolo: Fields, kinds: Mapping[str, Kind], problems: Problems) -> list[str]:
    """The command line's words, without those of Portainer; `kinds` are those of the section's keys."""
    take_extra(kubesolo, kinds, problems)
    flags = [f"--{name}={kubesolo.text(name)}" for name in VALUES if kubesolo.text(name)]
    if sans := kubesolo.texts(SANS):
        flags.append(f"--{SANS}={','.join(sans)}")
    if disabled := kubesolo.texts(DISABLED):
        flags.append(f"--{DISABLED}={','.join(disabled)}")
    # Stage 90 gives the bare flag by default, and a word that names a flag replaces the default.
    if (local := kubesolo.flag(LOCAL)) is not None:
        flags.append(f"--{LOCAL}" if local else f"--{LOCAL}=false")
    flags += [f"--{name}" for name in SWITCHES if kubesolo.flag(name)]
    check_networks(kubesolo, problems)
    if kubesolo.text("path") not in ("", STATE):
        problems.warn(
            *kubesolo.where("path", "extra-flags"), f"the node's own tools look for the state in {STATE}"
        )
    return flags


def take_extra(kubesolo: Fields, kinds: Mapping[str, Kind], problems: Problems) -> None:
    """Take the flags in `extra-flags` for the keys that they are; secrets in it are never in a message."""
    place, key = kubesolo.place_of("extra-flags"), join(kubesolo.path, "extra-flags")
    for name, value in split_flags(kubesolo.text("extra-flags")):
        if not name:
            problems.error(place, key, "has a word before the first flag; flags begin with '--'")
        elif name in OF_EDGE:
            problems.error(
                place, key, f"--{name} would be on a command line, which all can read; use 'portainer'"
            )
        elif name not in (known := (*SWITCHES, *VALUES, *LISTS, LOCAL)):
            what = (
                f"the payload has no flag --{name}; known are: --{', --'.join(known)}{nearest(name, known)}"
            )
            problems.unknown(place, key, what)
        elif kubesolo.given(name) and name != SANS:
            problems.error(place, key, f"--{name} is given twice; remove one of them")
        else:
            found = read_value(name, value, kinds[name], place, f"{key}[--{name}]", problems)
            if found is BAD:
                kubesolo.spoil(name, place)
            else:
                kubesolo.put(name, found, place)


def read_value(name: str, value: str, kind: Kind, place: Place, key: str, problems: Problems) -> object:
    """The value of a flag, checked like that of the key."""
    if name in (*SWITCHES, LOCAL):
        return kind.read(tree.Scalar(place, value or "true", True), key, problems)
    if name not in LISTS:
        return kind.read(tree.Scalar(place, value, False), key, problems)
    names = tree.Sequence(place)
    names.items.extend(tree.Scalar(place, text, False) for text in value.split(","))
    return kind.read(names, key, problems)


def split_flags(text: str) -> list[tuple[str, str]]:
    """Names and values in a line, as init/lib/flags.sh reads it; "" is the name of a word that is no flag."""
    found: list[tuple[str, str]] = []
    for word in split_words(text.replace(",--", " --")):
        if word.startswith("--"):
            name, _, value = word[2:].partition("=")
            found.append((name, value))
        elif found and not found[-1][1]:
            found[-1] = (found[-1][0], word)
        else:
            found.append(("", word))
    return found


def split_words(text: str) -> list[str]:
    """Words between blanks; double quotes protect blanks (init/lib/cmdline.sh)."""
    words: list[str] = []
    current: str | None = None
    inside = False
    for letter in text:
        if letter == '"':
            inside = not inside
            current = current or ""
        elif letter == " " and not inside:
            if current is not None:
                words.append(current)
            current = None
        else:
            current = (current or "") + letter
    return words if current is None else [*words, current]


def flags_line(flags: list[str]) -> str:
    """One line that init/lib/flags.sh splits into the same words."""
    return " ".join(f'"{flag}"' if " " in flag else flag for flag in flags)


def check_networks(kubesolo: Fields, problems: Problems) -> None:
    """Pods and services must be apart; where one is not chosen, its default counts, as in the payload."""
    pods, services = kubesolo.text("pod-cidr"), kubesolo.text("service-cidr")
    if not (pods or services) or {"pod-cidr", "service-cidr"} & kubesolo.bad:
        return
    name = "pod-cidr" if pods else "service-cidr"
    first = ipaddress.ip_network(pods or DEFAULT_PODS)
    second = ipaddress.ip_network(services or DEFAULT_SERVICES)
    if first.overlaps(second):
        what = f"the pods' network {first} and the services' network {second} overlap; choose others"
        problems.error(kubesolo.place_of(name), join(kubesolo.path, name), what)


def read_edge(section: Fields, names: Sequence[str]) -> dict[str, str]:
    """Environment variables of the payload for Portainer, from the keys that a section has for EDGE."""
    found: dict[str, str] = {}
    for variable, name in zip(VARIABLES, names, strict=True):
        value = section.values.get(name)
        if text := str(value).lower() if isinstance(value, bool) else section.text(name):
            found[variable] = text
    return found


def check_edge(kubesolo: Fields, portainer: Fields, problems: Problems) -> None:
    """The keys of both sections mean the same, and Portainer's agent needs both, ID and key."""
    first, second = read_edge(portainer, EDGE), read_edge(kubesolo, OF_EDGE)
    for name, other, variable in zip(EDGE, OF_EDGE, VARIABLES, strict=True):
        if variable in first and variable in second and first[variable] != second[variable]:
            what = f"says something else than {join(portainer.path, name)}; keep one of them"
            problems.error(kubesolo.place_of(other), join(kubesolo.path, other), what)
    pair = [name in {**first, **second} for name in VARIABLES[:2]]
    if any(pair) and not all(pair) and not (kubesolo.bad | portainer.bad) & {*EDGE, *OF_EDGE}:
        given = portainer if first else kubesolo
        where = given.where(*EDGE, *OF_EDGE)
        problems.warn(*where, f"is of no use without the {'key' if pair[0] else 'ID'}")
