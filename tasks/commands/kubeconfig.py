"""The kubeconfig of the running dev-vm."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from tasks.lib.engine.command import Command, option
from tasks.lib.errors import BuildError
from tasks.lib.vm import contexts, session


class Plugin(Command):
    """Say where the kubeconfig of the running dev-vm is."""

    doc_purpose = "wait for the node in dev-vm and say where its kubeconfig is"
    doc_description = """\
Waits until the API of the node in dev-vm answers and says where its kubeconfig is: build/dev-vm/kubeconfig,
readable by you alone, with the address changed to the forwarded port. The file goes when the machine ends.
--merge makes it the context kubesolo-dev of FILE, or of the file that kubectl uses ($KUBECONFIG, else
~/.kube/config), where everything else stays, the current context included.
"""
    doc_usage = "[--merge [FILE]]"
    cmd_options = (
        option("timeout", 300, "seconds to wait for the node"),
        option("print", False, "print it instead of its path"),
        option("merge", False, "add it to FILE, by default the one that kubectl uses"),
    )

    def execute(self, opt_values: Any, pos_args: list[str]) -> int:
        """Wait for the file that dev-vm writes, and for the API to answer whoever has it.

        Raises BuildError when no dev-vm runs, when the time is over, or when FILE is no kubeconfig.
        """
        if len(pos_args) > int(opt_values["merge"]):
            raise BuildError(f"kubeconfig: one FILE, after --merge, not {' '.join(pos_args)}")
        wait(opt_values["timeout"])
        if opt_values["merge"]:
            file = Path(pos_args[0]).expanduser() if pos_args else contexts.default_file(os.environ)
            current = contexts.merge(file, session.kubeconfig().read_text())
            use = "" if current else f"; use it with kubectl --context {contexts.NAME}"
            print(f"{file}: has the context {contexts.NAME}{use}")
        elif opt_values["print"]:
            print(session.kubeconfig().read_text(), end="")
        else:
            print(f"export KUBECONFIG={session.kubeconfig()}")
        return 0


def wait(seconds: int) -> None:
    """Wait until the node's API answers; raises BuildError when no dev-vm runs, or when the time is over."""
    deadline = time.monotonic() + seconds
    while what := session.missing():
        if time.monotonic() > deadline:
            raise BuildError(f"{what} after {seconds} s", "see the console of dev-vm")
        time.sleep(0.5)
