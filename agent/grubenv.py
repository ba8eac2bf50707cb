"""GRUB's environment block: a file of 1,024 bytes that boot loader and system both write.

Format (GRUB manual, "Environment block"; grub-core/lib/envblk.c): a signature line, NAME=VALUE lines in which
a backslash keeps the character after it, and '#' up to the end. GRUB rewrites the file's blocks in place, so
that it must never be truncated, moved or sparse, and it may be torn between its two sectors: what decides
about the boot stands in the first.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

SIZE = 1024
SECTOR = 512
SIGNATURE = b"# GRUB Environment Block\n"


class GrubenvError(Exception):
    """The block is damaged, or its new content does not fit."""


def parse(block: bytes) -> dict[str, str]:
    """The variables of a block, in its order.

    A line without its end (torn, or overwritten by padding) is left out. Raises GrubenvError when it has
    another length or signature.
    """
    if len(block) != SIZE:
        raise GrubenvError(f"has {len(block)} bytes instead of {SIZE}")
    if not block.startswith(SIGNATURE):
        raise GrubenvError("does not begin with GRUB's signature")
    found: dict[str, str] = {}
    for line in lines(block[len(SIGNATURE) :]):
        name, equals, value = line.partition(b"=")
        if equals and name and not name.startswith(b"#"):
            found[name.decode(errors="replace")] = unescaped(value).decode(errors="replace")
    return found


def lines(data: bytes) -> list[bytes]:
    """The complete lines; an end of line behind a backslash belongs to the value."""
    done: list[bytes] = []
    current = bytearray()
    kept = False
    for byte in data:
        if byte == 0x0A and not kept:
            done.append(bytes(current))
            current.clear()
        else:
            current.append(byte)
        kept = byte == 0x5C and not kept
    return done


def unescaped(value: bytes) -> bytes:
    """A value without the backslashes that keep characters."""
    result = bytearray()
    kept = False
    for byte in value:
        if byte == 0x5C and not kept:
            kept = True
            continue
        result.append(byte)
        kept = False
    return bytes(result)


def render(variables: Mapping[str, str]) -> bytes:
    """The block with these variables.

    Raises GrubenvError for a name that GRUB could not read, and when they are not all in the first sector: a
    torn write then leaves either all of them or none.
    """
    block = bytearray(SIGNATURE)
    for name, value in variables.items():
        if not name or not all(letter.isascii() and (letter.isalnum() or letter == "_") for letter in name):
            raise GrubenvError(f"{name!r} is no name of a variable")
        text = value.replace("\\", "\\\\").replace("\n", "\\\n")
        block += f"{name}={text}\n".encode()
    if len(block) > SECTOR:
        raise GrubenvError(f"{len(block)} bytes of variables do not fit into the first sector")
    return bytes(block).ljust(SIZE, b"#")


def read(path: Path) -> dict[str, str]:
    """The variables of a file; raises GrubenvError and OSError."""
    with path.open("rb") as stream:
        return parse(stream.read(SIZE + 1))


def write(path: Path, variables: Mapping[str, str]) -> None:
    """Overwrite an existing file in place, wait until it is on the disk, and read it back.

    Raises GrubenvError when the file has not its full length (GRUB could not have written it either) or holds
    something else afterwards, and OSError.
    """
    block = render(variables)
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        if (length := os.fstat(descriptor).st_size) != SIZE:
            raise GrubenvError(f"{path} has {length} bytes instead of {SIZE}")
        done = 0
        while done < SIZE:
            done += os.pwrite(descriptor, block[done:], done)
        os.fsync(descriptor)
        if os.pread(descriptor, SIZE, 0) != block:
            raise GrubenvError(f"{path} holds something else than was written")
    finally:
        os.close(descriptor)


def update(path: Path, changes: Mapping[str, str]) -> dict[str, str]:
    """Change some variables, keep the others, and return them all; raises GrubenvError and OSError."""
    variables = {**read(path), **changes}
    write(path, variables)
    return variables


def create(path: Path, variables: Mapping[str, str]) -> None:
    """A new file, all of its blocks allocated; raises GrubenvError and OSError."""
    with path.open("xb") as stream:
        stream.write(render(variables))
        stream.flush()
        os.fsync(stream.fileno())
