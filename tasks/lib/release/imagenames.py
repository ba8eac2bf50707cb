"""Which images there are and what they are called: one line "NAME VERSION" each in a versions file."""

from __future__ import annotations

from pathlib import Path

from tasks.lib.errors import BuildError
from tasks.lib.paths import TOP

REPOSITORY = "kubesolo.io"
# Shared with the payload, which embeds it.
VERSIONS = TOP / "payload" / "images" / "versions"


def versions(path: Path = VERSIONS) -> dict[str, str]:
    """Version of each image by its short name.

    Raises BuildError naming the line that is not "NAME VERSION".
    """
    found: dict[str, str] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        words = line.split()
        if len(words) != 2 or words[0] in found:
            raise BuildError(f"{path}:{number}: is not NAME VERSION with a new name", "one image a line")
        found[words[0]] = words[1]
    return found


def reference(name: str, path: Path = VERSIONS, repository: str = REPOSITORY) -> str:
    """The full reference of an image, e.g. kubesolo.io/pause:0.2.1.

    Raises BuildError when the versions file does not have it.
    """
    version = versions(path).get(name)
    if version is None:
        raise BuildError(f"{path}: has no line for {name}", "add its version")
    return f"{repository}/{name}:{version}"
