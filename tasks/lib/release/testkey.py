"""The key pair of the tests: RFC 8032, section 7.1, TEST 1. Everybody has it; release images refuse it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

# The private key as the RFC prints it; its public key is TEST_KEY in agent/update/keys.py.
SEED = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"


def private_key() -> Ed25519PrivateKey:
    """The private key, for signing.sign_file."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(SEED))
