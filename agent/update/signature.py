"""Ed25519 signatures (RFC 8032), verified by the libcrypto that the node has anyway (EVP_DigestVerify(3))."""

from __future__ import annotations

import ctypes
from ctypes import c_char_p, c_int, c_size_t, c_void_p
from functools import cache

from agent.update.errors import Unverified

LIBRARY = "libcrypto.so.3"
KEY_BYTES = 32
SIGNATURE_BYTES = 64
MOST = 8


@cache
def libcrypto() -> ctypes.CDLL:
    """OpenSSL 3's library, with the types of what is called; OSError when the node has none."""
    library = ctypes.CDLL(LIBRARY)
    pointers = [c_void_p] * 5
    for name, result, arguments in (
        ("EVP_PKEY_new_raw_public_key_ex", c_void_p, [c_void_p, c_char_p, c_char_p, c_char_p, c_size_t]),
        ("EVP_PKEY_free", None, [c_void_p]),
        ("EVP_MD_CTX_new", c_void_p, []),
        ("EVP_MD_CTX_free", None, [c_void_p]),
        ("EVP_DigestVerifyInit", c_int, pointers),
        ("EVP_DigestVerify", c_int, [c_void_p, c_char_p, c_size_t, c_char_p, c_size_t]),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


def verifies(key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether the key's owner has signed the message; ValueError for a key of another length."""
    if len(key) != KEY_BYTES:
        raise ValueError(f"an Ed25519 key has {KEY_BYTES} bytes, not {len(key)}")
    crypto = libcrypto()
    public = crypto.EVP_PKEY_new_raw_public_key_ex(None, b"ED25519", None, key, len(key))
    context = crypto.EVP_MD_CTX_new()
    try:
        return bool(
            public
            and context
            and crypto.EVP_DigestVerifyInit(context, None, None, None, public) == 1
            and crypto.EVP_DigestVerify(context, signature, len(signature), message, len(message)) == 1
        )
    finally:
        crypto.EVP_MD_CTX_free(context)
        crypto.EVP_PKEY_free(public)


def parse(data: bytes) -> list[bytes]:
    """The signatures of a .sig file: raw, or lines of hexadecimal digits; raises Unverified."""
    if len(data) == SIGNATURE_BYTES:
        return [data]
    try:
        lines = [bytes.fromhex(line) for line in data.decode("ascii").split("\n") if line.strip()]
    except ValueError as error:
        raise Unverified("the signature is neither 64 bytes nor lines of 128 hexadecimal digits") from error
    if not 0 < len(lines) <= MOST or any(len(line) != SIGNATURE_BYTES for line in lines):
        raise Unverified("the signature is neither 64 bytes nor lines of 128 hexadecimal digits")
    return lines


def signer(keys: dict[str, str], message: bytes, data: bytes) -> str:
    """Which of the keys (hexadecimal digits and where they are from) has signed; raises Unverified."""
    if not keys:
        raise Unverified("this node trusts no key; set pubkey in /etc/kubesolo/update.conf")
    found = parse(data)
    for key in keys:
        if any(verifies(bytes.fromhex(key), message, signature) for signature in found):
            return key
    raise Unverified("the manifest is not signed with a key that this node trusts")
