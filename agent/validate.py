"""Says whether a configuration file is right: `python3 -I -m agent.validate FILE [--json] [--boot]`.

Prints one line for each error and warning. Exit status: 0 without errors, 1 with, 2 when there is no such
file.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from agent import files

USAGE = "usage: validate FILE [--json] [--boot]; FILE may be - for standard input"
GOOD, BAD, UNREADABLE = 0, 1, 2


def main(arguments: Sequence[str]) -> int:
    """The exit status."""
    options = {word for word in arguments if word.startswith("--")}
    names = [word for word in arguments if not word.startswith("--")]
    if "--help" in options:
        print(__doc__)
        return GOOD
    if len(names) != 1 or not options <= {"--json", "--boot"}:
        sys.stderr.write(f"{USAGE}\n")
        return UNREADABLE
    return validate(names[0], as_json="--json" in options, boot="--boot" in options)


def validate(path: str, as_json: bool = False, boot: bool = False) -> int:
    """Print what is wrong with a file; returns the exit status."""
    try:
        data = files.read(path)
    except OSError as error:
        sys.stderr.write(f"{path}: {error.strerror or error}\n")
        return UNREADABLE
    from agent.config import problems, source

    found = source.read_file(path, data, boot).problems
    wrong = problems.errors(found)
    if as_json:
        import json

        warnings = problems.warnings(found)
        record = {
            "errors": [item.record() for item in wrong],
            "warnings": [item.record() for item in warnings],
        }
        print(json.dumps(record, indent=2))
    else:
        for line in problems.lines(found):
            print(line.encode(errors="backslashreplace").decode())
        if not found:
            print(f"{path}: no errors")
    return BAD if wrong else GOOD


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
