"""How a node is, in words or as JSON: `kubesolo-os status [--json]`. Exit status 0 when it is Ready.

State, address and what becomes of the data are in the words of the status screen, from the same place.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

from agent.node import MARKER, Node

WRONG_USAGE = 2
UPDATE = ("phase", "from", "to", "error", "available")
UNKNOWN = "not known: /usr/lib/kubesolo-os/health can not be run"


def main(arguments: Sequence[str], node: Node | None = None) -> int:
    """Print it; returns the exit status."""
    if not set(arguments) <= {"--json"}:
        sys.stderr.write("usage: kubesolo-os status [--json]\n")
        return WRONG_USAGE
    found = describe(node or Node())
    print(json.dumps(found, indent=2) if arguments else in_words(found))
    return 0 if found["state"] == "Ready" else 1


def describe(node: Node) -> dict[str, object]:
    """All of it, as JSON values; sizes in KiB, times in seconds."""
    release = node.release()
    health = node.health()
    address = health.get("address", "")
    uptime = float((node.text("proc/uptime").split() or ["0"])[0])
    memory = {key: value.split()[0] for key, value in colons(node.text("proc/meminfo")) if value}
    data = node.text("run/kubesolo/data").partition(" ")
    return {
        "name": health.get("name", ""),
        "version": release.get("VERSION_ID", ""),
        "slot": node.parameter("kubesolo.slot"),
        "address": address,
        "interface": health.get("interface", ""),
        "api": f"https://{address}:6443" if address else "",
        "state": health.get("state", UNKNOWN),
        "data": {"kind": data[0] or "memory", "device": data[2], "state": health.get("data", "")},
        "uptime_seconds": uptime,
        "boot_seconds": node.milestones().get(MARKER),
        "clock_set": (node.root / "run/kubesolo/clock-set").exists(),
        "memory_kib": {
            "total": int(memory.get("MemTotal", 0)),
            "available": int(memory.get("MemAvailable", 0)),
        },
        "configuration": configuration(node),
        "update": update(node),
        "problems": node.problems(),
    }


def update(node: Node) -> dict[str, str]:
    """How far the last update has come; empty when there has been none."""
    try:
        record = json.loads(node.text("mnt/data/update/state.json") or "{}")
        return {
            key: str(record[key]) for key in ("phase", "from", "to", "error", "available") if key in record
        }
    except (ValueError, TypeError):
        return {}


def configuration(node: Node) -> dict[str, object]:
    """What was made of the configuration file, without its values."""
    try:
        report = json.loads(node.text("run/kubesolo/cloud-init/report.json") or "{}")
    except ValueError:
        return {}
    return {key: report[key] for key in report if key != "values"}


def colons(text: str) -> list[tuple[str, str]]:
    """Lines "KEY: VALUE"."""
    return [(key, value.strip()) for key, _, value in (line.partition(":") for line in text.splitlines())]


def update_rows(record: object) -> list[tuple[str, str]]:
    """What a person has to know of updates."""
    assert isinstance(record, dict)
    rows = []
    if record.get("to"):
        rows.append(("Update", f"{record['from']} -> {record['to']}: {record['phase'].replace('_', ' ')}"))
    if record.get("available"):
        rows.append(("Offered", f"version {record['available']}"))
    return rows


def in_words(found: dict[str, object]) -> str:
    """The same for people."""
    data = found["data"]
    assert isinstance(data, dict)
    rows = [
        ("Node", found["name"]),
        ("Version", f"{found['version']}{', slot ' + str(found['slot']) if found['slot'] else ''}"),
        ("State", found["state"]),
        ("Address", f"{found['address']} ({found['interface']})" if found["address"] else "none"),
        ("API", found["api"] or "not reachable from outside"),
        ("Data", f"{data['state']}{', ' + str(data['device']) if data['device'] else ''}"),
        ("Clock", "set by a time server" if found["clock_set"] else "no time server has answered yet"),
        ("Up", f"{found['uptime_seconds']} s"),
        *update_rows(found["update"]),
    ]
    problems = found["problems"]
    assert isinstance(problems, list)
    lines = [f"{name:8} {value}" for name, value in rows]
    return "\n".join([*lines, *(f"Problem  {text}" for text in problems)])
