"""Public keys that updates are signed with (Ed25519, RFC 8032), as 64 hex digits."""

# The public key of RFC 8032, section 7.1, TEST 1, whose private key is printed there: what it signs proves
# nothing. Only images that are made for tests may know it.
TEST_KEY = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
