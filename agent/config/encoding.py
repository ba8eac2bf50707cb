"""From the bytes of a file to its text."""

from __future__ import annotations

import re

from agent.config.problems import Place

MAX_BYTES = 1 << 20
# YAML 1.2, 5.1: what is not c-printable, but for surrogates, which no UTF-8 has. Two sets, as one over all
# planes takes longer to compile than a file to read.
UNPRINTABLE = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f]|(?=[\ufffe\uffff]).")
MARK = b"\xef\xbb\xbf"
# The first bytes of what people save or copy by mistake.
SIGNATURES = (
    (b"\xff\xfe", "is UTF-16 text: save it as UTF-8"),
    (b"\xfe\xff", "is UTF-16 text: save it as UTF-8"),
    (b"\x1f\x8b", "is compressed (gzip): unpack it"),
    (b"PK\x03\x04", "is a ZIP archive, not text"),
    (b"\x7fELF", "is a program, not text"),
)


class UnreadableError(Exception):
    """A file in which nothing can be made out; `place` is line and column from 1, or zeros."""

    def __init__(self, text: str, place: Place = (0, 0)) -> None:
        super().__init__(text)
        self.text = text
        self.place = place


def decode(data: bytes) -> str:
    """The text of a file, without a byte order mark; raises UnreadableError."""
    if len(data) > MAX_BYTES:
        raise UnreadableError(f"has {len(data)} bytes; at most {MAX_BYTES} (1 MiB) are read")
    for signature, text in SIGNATURES:
        if data.startswith(signature):
            raise UnreadableError(text)
    if data[1:2] == b"\0" or data[:1] == b"\0":
        raise UnreadableError("is UTF-16 text, or no text at all: save it as UTF-8")
    data = data.removeprefix(MARK)
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        before = data[: error.start].decode()
        what = f"is not UTF-8: byte 0x{data[error.start]:02x}; save the file as UTF-8"
        raise UnreadableError(what, place_after(before)) from None
    if found := UNPRINTABLE.search(text):
        what = f"control character U+{ord(found[0]):04X}; only tabs and line ends are allowed"
        raise UnreadableError(what, place_after(text[: found.start()]))
    return text


def place_after(before: str) -> Place:
    """Line and column, from 1, of what follows this text."""
    lines = before.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return len(lines), len(lines[-1]) + 1
