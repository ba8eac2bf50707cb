"""Keeps a program from reading a folder but for what is named (userspace-api/landlock.rst).

Landlock only allows: what lies beside the folder is allowed by name, folder by folder from the root down.
What is asked without opening - whether a file exists, how long it is - it does not see.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import stat
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446  # the same on all architectures
GET_VERSION = 1
PATH_BENEATH = 1
READ_FILE, READ_DIR = 1 << 2, 1 << 3
SET_NO_NEW_PRIVS = 38
LIBC = ctypes.CDLL(None, use_errno=True)


def available() -> bool:
    """Whether this kernel has it."""
    return int(LIBC.syscall(CREATE_RULESET, None, 0, GET_VERSION)) > 0


def ruleset(top: Path, readable: Iterable[str | Path], listed: Iterable[str | Path]) -> int:
    """A descriptor of the rules: below the folder `top` only what is `readable`; the folders `listed` may be
    listed with all that is below them.

    Raises OSError.
    """
    handled = struct.pack("=Q", READ_FILE | READ_DIR)
    rules = _checked(LIBC.syscall(CREATE_RULESET, handled, len(handled), 0))
    try:
        for path in (*beside(top), *readable):
            _allow(rules, path, READ_FILE | READ_DIR)
        for path in listed:
            _allow(rules, path, READ_DIR)
    except BaseException:
        os.close(rules)
        raise
    return rules


def restrict(rules: int) -> None:
    """From now on the rules hold for this process and all that it starts.

    Raises OSError.
    """
    _checked(LIBC.prctl(SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    _checked(LIBC.syscall(RESTRICT_SELF, rules, 0))


def beside(top: Path) -> Iterator[Path]:
    """Everything that neither is, holds nor lies below `top`."""
    for parent in top.parents:
        with contextlib.suppress(PermissionError):
            yield from (entry for entry in parent.iterdir() if entry != top)
        top = parent


def _allow(rules: int, path: str | Path, access: int) -> None:
    """Add a rule; a link is none, as what it leads to has its own, and what has gone needs none."""
    try:
        descriptor = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISLNK(mode):
            return
        access &= READ_FILE | (READ_DIR if stat.S_ISDIR(mode) else 0)
        if access:
            rule = struct.pack("=Qi", access, descriptor)
            _checked(LIBC.syscall(ADD_RULE, rules, PATH_BENEATH, rule, 0))
    finally:
        os.close(descriptor)


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return int(result)
