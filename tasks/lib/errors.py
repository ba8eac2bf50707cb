"""The one way in which the builder refuses: what went wrong and what to do about it."""

from __future__ import annotations


class BuildError(Exception):
    """A failure that the user can act on; shown as one line, never as a traceback.

    what: what is wrong, naming the file, key or command.
    hint: what to do about it, or "" when there is nothing to say.
    """

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(what, hint)
        self.what = what
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.what} ({self.hint})" if self.hint else self.what
