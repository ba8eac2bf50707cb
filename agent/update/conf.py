"""Settings of the updater: command line > /etc/kubesolo/update.conf > configuration file > defaults."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from agent.update import window
from agent.update.errors import UsageError
from agent.update.manifest import WORD

FILE = "etc/kubesolo/update.conf"
CLOUD = "run/kubesolo/cloud-init/update.conf"
PROXY = re.compile(r"http://[^\s/]+/?")
URL = re.compile(r"https?://[^\s/@]+(?:/\S*)?")
LARGEST = 64 << 10
YES = {"yes": True, "no": False, "true": True, "false": False}


@dataclass(frozen=True)
class Conf:
    """Where updates come from, and how they are taken.

    server: an http or https address, usb: take a stick labelled KSOLOUPDATE, folder: a directory; one of the
    three. window: HH:MM-HH:MM in UTC, "" for always. rollback_after: seconds until a trial that is not well
    is given up. probe: an address that must answer 200 in a healthy node. ca: a file with authorities in PEM.
    """

    server: str = ""
    usb: bool = False
    folder: str = ""
    channel: str = "stable"
    pubkey: str = ""
    window: str = ""
    rollback_after: int = 600
    probe: str = ""
    proxy: str = ""
    ca: str = ""
    reboot: bool = True
    metrics: bool = True


# Names in the file and, with two dashes before them, on the command line.
NAMES = {
    "server": "server",
    "usb": "usb",
    "directory": "folder",
    "channel": "channel",
    "pubkey": "pubkey",
    "maintenance-window": "window",
    "auto-rollback-after": "rollback_after",
    "probe-url": "probe",
    "proxy": "proxy",
    "ca": "ca",
    "reboot": "reboot",
    "metrics": "metrics",
}
# Names that are given away already, and refused until they do something.
NOT_YET = ("registry", "tag")


def load(root: Path, given: Mapping[str, str], file: str = "") -> Conf:
    """All settings; UsageError names file and key of the first that has no meaning."""
    conf = Conf()
    for path in (root / CLOUD, Path(file) if file else root / FILE):
        conf = with_settings(conf, pairs(path, needed=bool(file) and path == Path(file)), str(path))
    return with_settings(conf, given, "")


def pairs(path: Path, *, needed: bool = False) -> dict[str, str]:
    """The lines key=value of a file; nothing when it is not there."""
    try:
        with path.open("rb") as stream:
            text = stream.read(LARGEST).decode(errors="replace")
    except FileNotFoundError:
        if needed:
            raise UsageError(f"{path} is not there") from None
        return {}
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    found = {}
    for line in text.splitlines():
        key, equals, value = line.partition("=")
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if not equals:
            raise UsageError(f"{path}: {line.strip()[:80]!r} is no key=value")
        found[key.strip()] = value.strip().strip("\"'")
    return found


def with_settings(conf: Conf, settings: Mapping[str, str], where: str) -> Conf:
    """The same with these settings."""
    types = {row.name: row.type for row in fields(Conf)}
    # One source replaces another.
    if any(settings.get(key) not in (None, "", "no", "false") for key in ("server", "usb", "directory")):
        conf = replace(conf, server="", usb=False, folder="")
    for key, value in settings.items():
        place = f"{where}: {key}" if where else f"--{key}"
        if key in NOT_YET:
            raise UsageError(
                f"{place}: updates from an OCI registry are not supported; use server, usb or directory"
            )
        if key not in NAMES:
            raise UsageError(f"{place} is not known; known are {', '.join(sorted(NAMES))}")
        name = NAMES[key]
        try:
            changes: dict[str, Any] = {name: converted(key, value, str(types[name]))}
            conf = replace(conf, **changes)
        except ValueError as error:
            raise UsageError(f"{place}: {error}") from error
    return conf


def converted(key: str, value: str, kind: str) -> object:
    """A value of a setting; ValueError says what it must be."""
    if kind == "bool":
        if value.lower() not in YES:
            raise ValueError(f"{value!r} is neither yes nor no")
        return YES[value.lower()]
    if kind == "int":
        if not re.fullmatch("0|[1-9][0-9]{0,5}", value):
            raise ValueError(f"{value!r} is no number of seconds")
        return int(value)
    if value and key == "proxy" and not PROXY.fullmatch(value):
        raise ValueError("it is no address of a proxy such as http://proxy.example.com:3128")  # may be secret
    if value and key in ("server", "probe-url") and not URL.fullmatch(value):
        raise ValueError(f"{value!r} is no address such as https://updates.example.com/kubesolo")
    if value and key == "maintenance-window":
        window.parse(value)
    if key == "channel" and not WORD.fullmatch(value):
        raise ValueError(f"{value!r} is no name of a channel such as stable")
    return value
