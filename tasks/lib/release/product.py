"""The finished ISO: where it lies, and which one a command is to use."""

from __future__ import annotations

from pathlib import Path

from tasks.lib.config import load_config
from tasks.lib.errors import BuildError
from tasks.lib.paths import OUTPUT
from tasks.lib.release.manifest import file_name


def iso_path() -> Path:
    """Where `./doit iso` puts the ISO."""
    return OUTPUT / file_name(load_config().os.version, "iso")


def choose_iso(given: str) -> Path:
    """The ISO named on the command line, or the product, brought up to date first.

    Raises BuildError when it is missing or can not be built.
    """
    from tasks.lib.engine.command import build

    if given:
        if not Path(given).is_file():
            raise BuildError(f"{given}: no such file", "give the path of an ISO, or leave --iso out")
        return Path(given)
    build("iso")
    return iso_path()
