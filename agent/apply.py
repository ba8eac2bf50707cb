"""Turns configuration files into the files that the boot stages read.

    python3 -I -m agent.apply --out DIR [--last-good DIR] SOURCE...

A SOURCE is `--file F`, or what a NoCloud medium has of `--user-data F --meta-data F --network-config F`. Of
each section, the first source that has it counts. Exit status: 0 when everything applies; 3 when something
does not, and the folder has what does; else (2, or 1 from Python itself) nothing was written.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

from agent import files

TYPE_CHECKING = False  # typing itself starts slowly
if TYPE_CHECKING:
    from agent.config import source

NOCLOUD = ("--user-data", "--meta-data", "--network-config")
GOOD, NOTHING, PARTLY = 0, 2, 3


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
        if current and (option == "--file" or option in current):
            yield current
            current = {}
        if option == "--file":
            yield {option: path}
        elif option in NOCLOUD:
            current[option] = path
    if current:
        yield current


def apply(out: str, last_good: str, given: Sequence[dict[str, str]]) -> int:
    """Read, decide and write; returns the exit status, raises OSError when it cannot write."""
    from agent.config import folder, problems, render, result

    readings: list[source.Reading] = []
    read: list[result.Source] = []
    for paths in given:
        datas: dict[str, tuple[str, bytes]] = {}
        try:
            for option, path in paths.items():
                datas[option] = (path, files.read(path))
            readings.append(understand(datas))
        except OSError as error:
            readings.append(unread(path, f"cannot be read: {error.strerror or error}"))
        except Exception as error:  # a fault of ours must not take the last good configuration
            readings.append(
                unread(path, f"cannot be read, by a fault of the reader ({type(error).__name__})")
            )
        read += [result.Source(path, files.sha256(data), len(data)) for path, data in datas.values()]
    made = result.decide(readings, read, folder.read_kept(last_good) if last_good else {})
    folder.write(out, made)
    sys.stderr.write(made[render.PROBLEMS][0].decode(errors="replace"))
    return PARTLY if any(problems.errors(reading.problems) for reading in readings) else GOOD


def understand(datas: dict[str, tuple[str, bytes]]) -> source.Reading:
    """One source; its files are names and bytes by option."""
    from agent.config import source

    if "--file" in datas:
        return source.read_file(*datas["--file"], boot=True)
    user_data, meta_data, network_config = (datas.get(option) for option in NOCLOUD)
    return source.read_nocloud(user_data, meta_data, network_config, boot=True)


def unread(path: str, text: str) -> source.Reading:
    """A source of which nothing is known but why."""
    from agent.config import problems, source

    found = problems.Problems(path)
    found.error(problems.NOWHERE, "", text)
    return source.Reading(None, found.found)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
