"""The command `kubesolo-os`: one word says what to do; each is a module of its own."""

from __future__ import annotations

import sys
from collections.abc import Sequence

USAGE = """\
usage: kubesolo-os COMMAND

  status [--json]              how the node is: version, slot, addresses, Kubernetes, configuration
  validate FILE [--json]       what is wrong with a configuration file
  support [--out FILE]         one archive for whoever helps: logs, state, versions; no secrets
  reset [--all] [--yes]        at the next boot the node begins anew: its cluster goes, its configuration
                               stays; --all: everything on the data partition goes
  --version
"""
WRONG_USAGE = 2


def main(arguments: Sequence[str]) -> int:
    """Run a command; returns the exit status, 2 for wrong usage."""
    name, *rest = arguments or ["--help"]
    if name in ("--help", "-h", "help"):
        sys.stdout.write(USAGE)
        return 0
    if name == "--version":
        from agent.node import Node

        print(Node().release().get("PRETTY_NAME", "unknown"))
        return 0
    if name == "validate":
        from agent import validate

        return validate.main(rest)
    if name == "status":
        from agent import status

        return status.main(rest)
    if name == "support":
        from agent import support

        return support.main(rest)
    if name == "reset":
        from agent import reset

        return reset.main(rest)
    sys.stderr.write(f"kubesolo-os: no command {name!r}\n{USAGE}")
    return WRONG_USAGE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
