"""The manifest comes from outside: whatever is in it, it is read or refused with a reason."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.update import chunks, manifest, signature
from agent.update.errors import Unverified
from tests.updates import bundle
from tests.updates.bundle import Bundle

DIGEST = "a" * 64
ROW = {"path": "1.0.0/vmlinuz", "size": 10, "sha256": DIGEST}
GOOD: dict[str, Any] = {
    "schema": 1,
    "name": "kubesolo-os",
    "version": "1.0.0",
    "channel": "stable",
    "architecture": "amd64",
    "board": "generic",
    "released": "2026-11-01T00:00:00Z",
    "expires": "2027-11-01T00:00:00Z",
    "min_compatible_version": "0.1.0",
    "floor": "0.1.0",
    "notes": "",
    "keys": [],
    "files": {"vmlinuz": ROW, "kubesolo-os.gz": {**ROW, "path": "1.0.0/kubesolo-os.gz"}},
}


def parse(**changes: object) -> manifest.Manifest:
    return manifest.parse(json.dumps({**GOOD, **changes}).encode())


def files(**changes: object) -> dict[str, object]:
    return {**GOOD["files"], "root.squashfs": {**ROW, **changes}}


def test_a_good_one_is_read() -> None:
    found = parse(files=files(chunks={**ROW, "path": "1.0.0/root.squashfs.chunks"}), future="unknown")
    assert (found.version.text, found.size) == ("1.0.0", 30)
    assert found.files["root.squashfs"].chunks is not None
    assert found.expires - found.released == 365 * 86400


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"schema": 2}, "schema 2"),
        ({"name": "another-os"}, "another-os"),
        ({"version": "1.0"}, "version: '1.0' is no version"),
        ({"version": 1}, "version is no text"),
        ({"channel": "../stable"}, "channel cannot be"),
        ({"architecture": ""}, "architecture cannot be"),
        ({"released": "yesterday"}, "released is no time"),
        ({"expires": "2026-02-31T00:00:00Z"}, "expires is no time"),
        ({"keys": ["ab"]}, "64 hexadecimal digits"),
        ({"keys": [DIGEST] * 9}, "at most 8"),
        ({"files": {}}, "from 2 to 32"),
        ({"files": {"vmlinuz": ROW, "other": ROW}}, "kubesolo-os.gz is missing"),
        ({"files": {**GOOD["files"], "../etc/passwd": ROW}}, "no file can be called"),
        ({"files": {**GOOD["files"], "manifest.json": ROW}}, "no file can be called"),
        ({"files": {**GOOD["files"], "x.part": ROW}}, "no file can be called"),
        ({"files": files(path="../../x")}, "path cannot be"),
        ({"files": files(path="a/../b")}, "path cannot be"),
        ({"files": files(path="/etc/passwd")}, "path cannot be"),
        ({"files": files(path="a//b")}, "path cannot be"),
        ({"files": files(path="http://x/y")}, "path cannot be"),
        ({"files": files(size=0)}, "size cannot be 0"),
        ({"files": files(size=True)}, "size cannot be True"),
        ({"files": files(size=1 << 60)}, "size cannot be"),
        ({"files": files(size=1.5)}, "size cannot be 1.5"),
        ({"files": files(sha256="A" * 64)}, "sha256 cannot be"),
        ({"files": files(chunks="x")}, "a file is no JSON object"),
    ],
)
def test_what_is_not_in_order_is_named(changes: dict[str, object], words: str) -> None:
    with pytest.raises(Unverified, match=r"^the manifest is not in order: ") as caught:
        parse(**changes)
    assert words in str(caught.value)


@pytest.mark.parametrize("key", [key for key in GOOD if key != "keys"])
def test_a_missing_key_is_named(key: str) -> None:
    values = {name: value for name, value in GOOD.items() if name != key}
    with pytest.raises(Unverified, match=rf"'?{key}'? is missing"):
        manifest.parse(json.dumps(values).encode())


@pytest.mark.parametrize(
    "data",
    [b"", b"\0", b"[]", b"null", b"{" * 100_000, b"[" * 100_000, b'{"a":1,"a":2}', b'{"a": NaN}',
     b"\xff\xfe{}",
     b"9" * 5000, b" " * (manifest.LARGEST + 1)],
)  # fmt: skip
def test_what_is_no_json_object_is_refused(data: bytes) -> None:
    with pytest.raises(Unverified, match="the manifest"):
        manifest.parse(data)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(GOOD)), JSON)
def test_any_value_of_any_key_is_read_or_refused(key: str, value: object) -> None:
    try:
        found = parse(**{key: value})
    except Unverified:
        return
    assert isinstance(found, manifest.Manifest)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for read in (manifest.parse, signature.parse, lambda raw: chunks.parse(raw, 100)):
        try:
            read(data)
        except Unverified:
            continue


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 7))
def test_a_flipped_bit_anywhere_is_noticed(position: int, bit: int) -> None:
    data = json.dumps(GOOD).encode()
    signed = bundle.key().sign(data)
    broken = bytearray(data + signed)
    broken[position % len(broken)] ^= 1 << bit
    with pytest.raises(Unverified):
        signature.signer({bundle.public(): ""}, bytes(broken[: len(data)]), bytes(broken[len(data) :]))


def test_signatures_raw_and_in_hexadecimal_digits() -> None:
    keys = {bundle.public("another"): "", bundle.public(): ""}
    raw = bundle.key().sign(b"text")
    other = bundle.key("stranger").sign(b"text")
    assert signature.signer(keys, b"text", raw) == bundle.public()
    assert signature.signer(keys, b"text", f"{other.hex()}\n{raw.hex()}\n".encode()) == bundle.public()
    with pytest.raises(Unverified, match="not signed with a key that this node trusts"):
        signature.signer(keys, b"text", other)
    with pytest.raises(Unverified, match="trusts no key"):
        signature.signer({}, b"text", raw)


def test_an_index_of_chunks_is_for_all_of_its_file(tmp_path: Path) -> None:
    assert [chunk.offset for chunk in chunks.parse(f"{DIGEST} 4\n{DIGEST} 6\n".encode(), 10)] == [0, 4]
    for text in (
        f"{DIGEST} 4\n",
        f"{DIGEST} 0\n{DIGEST} 10\n",
        f"{DIGEST} -1\n",
        f"{DIGEST} 99999999\n",
        "x 10\n",
    ):
        with pytest.raises(Unverified, match="index of chunks"):
            chunks.parse(text.encode(), 10)
    made = Bundle(tmp_path).add("1.0.0", {"vmlinuz": b"k", "kubesolo-os.gz": b"i"})
    assert manifest.parse(json.dumps(made.manifest).encode()).size == 2
