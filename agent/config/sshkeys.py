"""Lines of authorized_keys (sshd(8), "AUTHORIZED_KEYS FILE FORMAT"), as far as dropbear knows them."""

from __future__ import annotations

import binascii
from collections.abc import Callable

TYPES = (
    "ssh-ed25519",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
)
ALLOWED = "a public key as in authorized_keys: TYPE BASE64 [COMMENT]"
RSA_BITS = 2048


def check(text: str, warn: Callable[[str], None]) -> str:
    """The line with single blanks; raises ValueError in words without the line."""
    if "PRIVATE KEY" in text:
        raise ValueError("is a private key: keep it, and put the public one here (the .pub file)")
    words = text.split()
    if len(words) < 2 or words[0] not in TYPES:
        kinds = ", ".join(TYPES)
        raise ValueError(f"does not begin with a known type ({kinds}); options in front are not supported")
    try:
        blob = binascii.a2b_base64(words[1], strict_mode=True)
    except binascii.Error:
        raise ValueError("has no valid base64 in its second word") from None
    parts = split(blob)
    if not parts or parts[0] != words[0].encode():
        raise ValueError(f"is damaged: its base64 is no {words[0]} key")
    if words[0] == "ssh-rsa" and len(parts) == 3 and (bits := (len(parts[2].lstrip(b"\0"))) * 8) < RSA_BITS:
        warn(f"is an RSA key of {bits} bits; {RSA_BITS} or more, or ssh-ed25519, are advised")
    return " ".join(words)


def split(blob: bytes) -> list[bytes]:
    """The strings in a key, each with its length in front (RFC 4251, section 5); empty when it is cut off."""
    parts = []
    while blob:
        length = int.from_bytes(blob[:4], "big")
        if len(blob) < 4 + length or length == 0:
            return []
        parts.append(blob[4 : 4 + length])
        blob = blob[4 + length :]
    return parts if len(parts) > 1 else []
