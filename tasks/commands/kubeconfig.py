"""The kubeconfig of the running dev-vm."""

from __future__ import annotations

import time
from typing import Any

from tasks.lib.engine.command import Command
from tasks.lib.errors import BuildError
from tasks.lib.vm import session

ANSWER_SECONDS = 5
DESCRIPTION = """\
Waits until the API of the node in dev-vm answers and says where its kubeconfig is: build/dev-vm/kubeconfig,
readable by you alone, with the address changed to the forwarded port. The file goes when the machine ends.
"""
OPTIONS = (
    {"name": "timeout", "long": "timeout", "type": int, "default": 300,
     "help": "seconds to wait for the node"},
    {"name": "print", "long": "print", "type": bool, "default": False,
     "help": "print it instead of its path"},
)  # fmt: skip


class Plugin(Command):
    """Say where the kubeconfig of the running dev-vm is."""

    name = "kubeconfig"
    doc_purpose = "wait for the node in dev-vm and say where its kubeconfig is"
    doc_usage = ""
    doc_description = DESCRIPTION  # type: ignore[assignment]
    cmd_options = OPTIONS

    def execute(self, opt_values: Any, pos_args: list[str]) -> int:
        """Wait for the file that dev-vm writes, and for the API to answer whoever has it.

        Raises BuildError when no dev-vm runs, or when the time is over.
        """
        if pos_args:
            raise BuildError(f"kubeconfig: takes no argument: {pos_args[0]}", "see ./doit help kubeconfig")
        deadline = time.monotonic() + opt_values["timeout"]
        while what := missing():
            if time.monotonic() > deadline:
                raise BuildError(f"{what} after {opt_values['timeout']} s", "see the console of dev-vm")
            time.sleep(0.5)
        if opt_values["print"]:
            print(session.kubeconfig().read_text(), end="")
        else:
            print(f"export KUBECONFIG={session.kubeconfig()}")
        return 0


def missing() -> str:
    """What is still to come until the API can be used, "" when nothing is.

    Raises BuildError when no dev-vm runs.
    """
    from tasks.lib.vm.kube import Cluster

    found = session.running()
    if found is None:
        raise BuildError("no dev-vm runs", "start one with ./doit dev-vm in another terminal")
    try:
        cluster = Cluster(session.kubeconfig().read_text(), found.api)
    except OSError:
        return "the node has no kubeconfig"
    try:
        cluster.request("GET", "/readyz", timeout=ANSWER_SECONDS)
    except BuildError:
        return "the node's API does not answer"
    finally:
        cluster.close()
    return ""
