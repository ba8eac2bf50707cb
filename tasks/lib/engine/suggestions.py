"""An unknown name, and what was probably meant."""

from __future__ import annotations

from collections.abc import Iterable

from tasks.lib.errors import BuildError


def unknown(name: str, known: Iterable[str], kind: str) -> BuildError:
    """The error for a name that is not `kind`."""
    import difflib

    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    hint = f"did you mean {close[0]}? " if close else ""
    return BuildError(f"{name} is not {kind}", f"{hint}./doit list shows all")
