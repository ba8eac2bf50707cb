"""Key pairs and detached signatures of updates: pure Ed25519 (RFC 8032) over a whole file.

FILE.sig holds either one signature as 64 raw bytes, or any number of them as lines of 128 hex digits.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.lib.errors import BuildError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

SIGNATURE_BYTES = 64
LINE = re.compile(r"[0-9a-fA-F]{128}")


def make_pair(path: Path) -> str:
    """Write a new private key (PKCS #8 in PEM, RFC 5958, mode 0600) and, as PATH.pub, its public key.

    Returns the public key, 64 hex digits. Raises BuildError when one of the files is there already.
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    public = path.with_name(f"{path.name}.pub")
    if taken := [str(name) for name in (path, public) if os.path.lexists(name)]:
        raise BuildError(
            f"{taken[0]}: is there already", "a key is never overwritten; name another with --out"
        )
    key = Ed25519PrivateKey.generate()
    text = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    write_new(path, text, 0o600)
    write_new(public, f"{public_hex(key)}\n".encode(), 0o644)
    return public_hex(key)


def write_new(path: Path, content: bytes, mode: int) -> None:
    """Write a file that was not there, to the disk; raises BuildError when it can not be made."""
    try:
        path.touch(mode, exist_ok=False)
        with path.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        raise BuildError(f"{path}: can not be written: {error.strerror}") from error


def public_hex(key: Ed25519PrivateKey) -> str:
    """The public key of a private one, 64 hex digits."""
    return key.public_key().public_bytes_raw().hex()


def read_key(path: Path) -> Ed25519PrivateKey:
    """The private key in a PEM file; raises BuildError when there is none, or one of another kind."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(path.read_bytes(), None)
    except OSError as error:
        raise BuildError(f"{path}: can not be read: {error.strerror}", "./doit keygen makes a key") from error
    except (ValueError, TypeError) as error:
        raise BuildError(f"{path}: no private key without a password: {error}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise BuildError(f"{path}: is not an Ed25519 key", "./doit keygen makes one")
    return key


def read_signatures(path: Path) -> list[bytes]:
    """The signatures in a file, none when there is no file; raises BuildError when it holds anything else."""
    if not path.is_file():
        return []
    content = path.read_bytes()
    if len(content) == SIGNATURE_BYTES:
        return [content]
    lines = content.decode("ascii", errors="replace").split()
    if not all(LINE.fullmatch(line) for line in lines):
        raise BuildError(f"{path}: holds no signatures", "remove it, or sign without --add")
    return [bytes.fromhex(line) for line in lines]


def sign_file(path: Path, key: Ed25519PrivateKey, *, add: bool = False) -> list[Path]:
    """Sign a file, and write the signature for each JSON file beside it that has the same bytes, too.

    add: keep the signatures that are there, for a file that several keys sign. Returns the
    files written. Raises BuildError when the file can not be read.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BuildError(f"{path}: can not be read: {error.strerror}") from error
    signature = key.sign(content)
    target = path.with_name(f"{path.name}.sig")
    kept = [found for found in read_signatures(target) if found != signature] if add else []
    text = signature
    if add:
        text = "".join(f"{one.hex()}\n" for one in (*kept, signature)).encode()
    same = [other for other in sorted(path.parent.glob("*.json")) if other.read_bytes() == content]
    written = [target, *(other.with_name(f"{other.name}.sig") for other in same if other.name != path.name)]
    for name in written:
        beside = name.with_name(f".{name.name}.part")
        beside.write_bytes(text)
        beside.replace(name)
    return written
