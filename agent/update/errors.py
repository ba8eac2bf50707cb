"""What ends an update: one sentence for people, and the exit status of the command."""

from __future__ import annotations

DONE, FAILED, WRONG_USAGE, NOTHING_NEW, REFUSED, UNREACHABLE, NOT_VERIFIED, NO_ROOM, BUSY = range(9)


class UpdateError(Exception):
    """An update can not go on; `status` is the exit status."""

    status = FAILED

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status or self.status


class UsageError(UpdateError):
    """An option or a setting that has no meaning."""

    status = WRONG_USAGE


class NothingToDo(UpdateError):  # noqa: N818 (no fault)
    """No newer version is offered."""

    status = NOTHING_NEW


class Refused(UpdateError):  # noqa: N818 (a decision, no fault)
    """A gate is closed: nothing has been written."""

    status = REFUSED


class Unreachable(UpdateError):  # noqa: N818
    """The source does not answer, or not with what was asked for."""

    status = UNREACHABLE


class Unverified(UpdateError):  # noqa: N818
    """A signature, a digest or a format is not what it must be."""

    status = NOT_VERIFIED


class NoRoom(UpdateError):  # noqa: N818
    """The slot or the data partition is too small."""

    status = NO_ROOM


class Busy(UpdateError):  # noqa: N818
    """Another updater is at work."""

    status = BUSY
