"""Turns configuration files into the files that the boot stages read.

    python3 -I -m agent.apply --out DIR [--last-good DIR] SOURCE...

A SOURCE is `--file F`, or what a NoCloud medium has of `--user-data F --meta-data F --network-config F`. Of
each section, the first source that has it counts. Exit status: 0 when everything applies; 1 when something
does not, and the folder has what does; 2 when nothing was written.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence

from agent import files

TYPE_CHECKING = False  # typing itself starts slowly
if TYPE_CHECKING:
    from agent.config import result, source

NOCLOUD = ("--user-data", "--meta-data", "--network-config")
GOOD, PARTLY, NOTHING = 0, 1, 2


def main(arguments: Sequence[str]) -> int:
    """The exit status."""
    words = list(arguments)
    if "--help" in words:
        print(__doc__)
        return GOOD
    options = dict(zip(words[::2], words[1::2], strict=False))
    known = ("--out", "--last-good", "--file", *NOCLOUD)
    if len(words) % 2 or "--out" not in options or any(word not in known for word in words[::2]):
        sys.stderr.write(f"{__doc__}\n")
        return NOTHING
    try:
        return apply(options["--out"], options.get("--last-good", ""), list(sources(words)))
    except OSError as error:
        sys.stderr.write(f"{error.filename or options['--out']}: {error.strerror or error}\n")
        return NOTHING


def sources(words: Sequence[str]) -> Iterator[dict[str, str]]:
    """Each source's files by option; a NoCloud file of the same kind begins another source."""
    current: dict[str, str] = {}
    for option, path in zip(words[::2], words[1::2], strict=True):
        if option == "--file":
            yield {option: path}
        elif option in NOCLOUD:
            if option in current:
                yield current
                current = {}
            current[option] = path
    if current:
        yield current


def apply(out: str, last_good: str, given: Sequence[dict[str, str]]) -> int:
    """Read, decide and write; returns the exit status, raises OSError when it cannot write."""
    from agent.config import folder, problems, render, result

    readings, read = [], []
    for source in given:
        reading, files_read = read_source(source)
        readings.append(reading)
        read += files_read
    made = result.decide(readings, read, folder.read_kept(last_good) if last_good else {})
    os.umask(0o022)
    folder.write(out, made)
    sys.stderr.write(made[render.PROBLEMS][0].decode(errors="replace"))
    return PARTLY if any(problems.errors(reading.problems) for reading in readings) else GOOD


def read_source(paths: dict[str, str]) -> tuple[source.Reading, list[result.Source]]:
    """One source, and which files it was read from; a file that cannot be read is an error in it."""
    from agent.config import problems, result, source

    datas: dict[str, tuple[str, bytes]] = {}
    read: list[result.Source] = []
    for option, path in paths.items():
        try:
            data = files.read(path)
        except OSError as error:
            found = problems.Problems(path)
            found.error(problems.NOWHERE, "", f"cannot be read: {error.strerror or error}")
            return source.Reading(None, found.found), read
        datas[option] = (path, data)
        read.append(result.Source(path, files.sha256(data), len(data)))
    if "--file" in datas:
        return source.read_file(*datas["--file"], boot=True), read
    user_data, meta_data, network_config = (datas.get(option) for option in NOCLOUD)
    return source.read_nocloud(user_data, meta_data, network_config, boot=True), read


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
