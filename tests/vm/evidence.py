"""What a machine can still tell when a test has failed: kept beside its console's log, and shown in part."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

from tasks.lib.errors import BuildError
from tasks.lib.vm.hostport import NotYetError
from tasks.lib.vm.kube import Cluster
from tasks.lib.vm.machine import Machine
from tests.vm.node import API

ASK_SECONDS = 20
SHOWN_LINES = 40
SHOWN_COLUMNS = 200
# File name to the question to the guest, and to the API.
QUESTIONS = {
    "guest.log": "log",
    "payload.log": "payload-log",
    "milestones.txt": "milestones",
    "meminfo.txt": "meminfo",
    "mounts.txt": "mounts",
    "rules.nft": "rules",
}
OBJECTS = {
    "nodes.json": "/api/v1/nodes",
    "pods.json": "/api/v1/pods",
    "events.json": "/api/v1/events",
    "services.json": "/api/v1/services",
    "endpoints.json": "/apis/discovery.k8s.io/v1/endpointslices",
}


def keep(machine: Machine) -> list[tuple[str, str]]:
    """Write all that the machine answers into its folder; returns titles and texts for the report.

    Every question has its deadline, and none that fails stops the next. A machine that does not answer at all
    is asked once.
    """
    if not machine.running():
        return []
    sections = []
    for name, text in answers(machine):
        (machine.folder / name).write_text(text)
        sections.append((f"{machine.folder / name}", shorten(name, text)))
    return sections


def answers(machine: Machine) -> Iterator[tuple[str, str]]:
    """File name and content of everything there is to know."""
    try:
        machine.host.ask("ping", ASK_SECONDS)
    except (BuildError, NotYetError) as error:
        yield "guest.log", f"the guest does not answer: {error}"
        return
    for name, question in QUESTIONS.items():
        yield name, attempt(lambda question=question: machine.host.ask(question, ASK_SECONDS))  # type: ignore[misc]
    if API in machine.hardware.forwards:
        yield from objects(machine)


def objects(machine: Machine) -> Iterator[tuple[str, str]]:
    """What the API knows, until it does not answer."""
    try:
        cluster = Cluster(machine.host.ask("kubeconfig", ASK_SECONDS), machine.port(API))
    except (BuildError, NotYetError) as error:
        yield "nodes.json", f"no way to the API: {error}"
        return
    for name, path in OBJECTS.items():
        try:
            found = cluster.request("GET", path, timeout=ASK_SECONDS).json()
        except BuildError as error:
            yield name, f"the API does not answer: {error}"
            break
        yield name, json.dumps(found, indent=1)
    cluster.close()


def attempt(ask: Callable[[], str]) -> str:
    """The answer, or why there is none."""
    try:
        return ask()
    except (BuildError, NotYetError) as error:
        return f"no answer: {error}"


def shorten(name: str, text: str) -> str:
    """What of an answer is shown: one line for each object, the end of everything else."""
    lines = text.splitlines()
    if name.endswith(".json") and text.startswith("{"):
        lines = [summary(thing) for thing in json.loads(text)["items"]]
    return "\n".join(line[:SHOWN_COLUMNS] for line in lines[-SHOWN_LINES:])


def summary(thing: dict[str, object]) -> str:
    """An object in one line: its name, then what says most about its kind."""
    meta = thing["metadata"]
    assert isinstance(meta, dict)
    told = {key: thing[key] for key in ("reason", "message", "endpoints", "status") if key in thing}
    return f"{meta.get('namespace', '')}/{meta['name']} {json.dumps(told)}"
