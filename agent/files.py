"""Reading the files that a command line names."""

from __future__ import annotations

import sys

from agent.config.encoding import MAX_BYTES


def read(path: str) -> bytes:
    """At most one byte more than a configuration may have; `-` is standard input. Raises OSError."""
    if path == "-":
        return sys.stdin.buffer.read(MAX_BYTES + 1)
    with open(path, "rb") as stream:
        return stream.read(MAX_BYTES + 1)


def sha256(data: bytes) -> str:
    """The digest in hexadecimal. hashlib loads OpenSSL, which takes longer than the rest of a boot's work."""
    try:
        from _sha2 import sha256 as digest  # type: ignore[import-not-found]  # since Python 3.12
    except ImportError:
        from hashlib import sha256 as digest
    return str(digest(data).hexdigest())
