"""The kubeconfig of the running dev-vm."""

from __future__ import annotations

import time
from typing import Any

from tasks.lib.engine.command import Command, option
from tasks.lib.errors import BuildError
from tasks.lib.vm import session


class Plugin(Command):
    """Say where the kubeconfig of the running dev-vm is."""

    doc_purpose = "wait for the node in dev-vm and say where its kubeconfig is"
    doc_description = """\
Waits until the API of the node in dev-vm answers and says where its kubeconfig is: build/dev-vm/kubeconfig,
readable by you alone, with the address changed to the forwarded port. The file goes when the machine ends.
"""
    cmd_options = (
        option("timeout", 300, "seconds to wait for the node"),
        option("print", False, "print it instead of its path"),
    )

    def execute(self, opt_values: Any, pos_args: list[str]) -> int:
        """Wait for the file that dev-vm writes, and for the API to answer whoever has it.

        Raises BuildError when no dev-vm runs, or when the time is over.
        """
        deadline = time.monotonic() + opt_values["timeout"]
        while what := session.missing():
            if time.monotonic() > deadline:
                raise BuildError(f"{what} after {opt_values['timeout']} s", "see the console of dev-vm")
            time.sleep(0.5)
        if opt_values["print"]:
            print(session.kubeconfig().read_text(), end="")
        else:
            print(f"export KUBECONFIG={session.kubeconfig()}")
        return 0
