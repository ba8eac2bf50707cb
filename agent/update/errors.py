"""How an update ends when it does not succeed: one sentence, and an exit status of its own."""

from __future__ import annotations

DONE = 0
FAILED = 1
USAGE = 2
NOTHING = 3
REFUSED = 4
UNREACHABLE = 5
UNVERIFIED = 6
NO_ROOM = 7
BUSY = 8


class UpdateError(Exception):
    """An update that cannot go on: what is wrong and what to do, in one sentence."""

    status = FAILED


class UsageError(UpdateError):
    """An option or a setting that has no meaning."""

    status = USAGE


class NothingToDo(UpdateError):  # noqa: N818 (no fault)
    """No newer version is offered."""

    status = NOTHING


class Refused(UpdateError):  # noqa: N818 (a decision, no fault)
    """A gate is closed: nothing has been written."""

    status = REFUSED


class Unreachable(UpdateError):  # noqa: N818
    """The source does not answer, or not with what was asked for."""

    status = UNREACHABLE


class Unverified(UpdateError):  # noqa: N818
    """A signature, a digest or a format is not what it must be."""

    status = UNVERIFIED


class NoRoom(UpdateError):  # noqa: N818
    """The slot or the data partition is too small."""

    status = NO_ROOM


class Busy(UpdateError):  # noqa: N818
    """Another updater is at work."""

    status = BUSY
