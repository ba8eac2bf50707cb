"""Files that are not what they should be: each has a defined result, and none takes long."""

from __future__ import annotations

import time

import pytest
import yaml

from agent.config import problems, source, tree
from agent.config.encoding import MAX_BYTES, UNPRINTABLE, UnreadableError, decode
from tests.unit.config import cases

GOOD = b"#cloud-config\nhostname: node-1\nnetwork: {address: 10.0.0.5/24}\n"


def result(data: bytes) -> tuple[str | None, list[str]]:
    """The host name, None when the file cannot be read, and the messages."""
    reading = source.read_file("f", data)
    return reading.config.hostname if reading.config else None, problems.lines(reading.problems)


@pytest.mark.parametrize(
    "data",
    [GOOD, b"\xef\xbb\xbf" + GOOD, GOOD.replace(b"\n", b"\r\n"), GOOD.rstrip(), b"\n\n" + GOOD,
     b"\xef\xbb\xbf" + GOOD.replace(b"\n", b"\r\n"), GOOD + b"...\n"],
    ids=["plain", "byte order mark", "CRLF", "no last line end", "empty lines", "both of Windows", "end "
    "mark"],
)  # fmt: skip
def test_what_editors_of_other_systems_do_is_no_fault(data: bytes) -> None:
    assert result(data) == ("node-1", [])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (GOOD.decode().encode("utf-16"), "f: is UTF-16 text: save it as UTF-8"),
        (GOOD.decode().encode("utf-16-be"), "f: is UTF-16 text, or no text at all: save it as UTF-8"),
        (GOOD.decode().encode("utf-32-be"), "f: is UTF-16 text, or no text at all: save it as UTF-8"),
        (GOOD + b"# \xff", "f:4:3: is not UTF-8: byte 0xff; save the file as UTF-8"),
        (GOOD + "# ü".encode("latin-1"), "f:4:3: is not UTF-8: byte 0xfc; save the file as UTF-8"),
        (GOOD + b"a: \0", "f:4:4: control character U+0000; only tabs and line ends are allowed"),
        (GOOD.replace(b"\n", b"\r\n") + b"a\x1b[0m", "f:4:2: control character U+001B; only tabs and line "
        "ends "
                                                     "are allowed"),
        (b"\x1f\x8b\x08", "f: is compressed (gzip): unpack it"),
        (b"\x7fELF\2", "f: is a program, not text"),
        (GOOD + b"#" * MAX_BYTES, f"f: has {MAX_BYTES + len(GOOD)} bytes; at most {MAX_BYTES} (1 MiB) are "
        f"read"),
        (b"Content-Type: multipart/mixed\n\n", "f:1:1: is MIME in several parts; only '#cloud-config' is "
        "supported, "
                                               "and nothing is executed"),
    ],
)  # fmt: skip
def test_what_is_no_text(data: bytes, message: str) -> None:
    assert result(data) == (None, [message])


@pytest.mark.parametrize(
    "data", [b"", b"\n", b"#cloud-config\n", b"#cloud-config\n---\n", b"#cloud-config\n~\n"]
)
def test_an_empty_file_configures_nothing(data: bytes) -> None:
    assert result(data) == ("", ["f: warning: is empty: nothing is configured"])


@pytest.mark.parametrize(
    "data",
    [
        b"[" * MAX_BYTES,
        b"{a: " * (MAX_BYTES // 4),
        b"- " * (MAX_BYTES // 2),
        b"? " * (MAX_BYTES // 2),
        b"[" + b"1," * (MAX_BYTES // 2 - 1) + b"]",
        b"a: 1\n" * (MAX_BYTES // 5),
        b"a: '" + b"x" * (MAX_BYTES - 10) + b"'\n",
        b"a: " + b"9" * (MAX_BYTES - 10) + b"\n",
        b"mtu: " + b"9" * (MAX_BYTES - 10) + b"\n",
        b"? " + b"x" * (MAX_BYTES - 10) + b"\n",
        b"'" * MAX_BYTES,
        b"&a " * (MAX_BYTES // 3),
        b"\n" * (MAX_BYTES - 1) + b"a",
        b" " * MAX_BYTES,
    ],
    ids=lambda data: repr(data[:8]),
)
def test_a_megabyte_of_anything_is_judged_at_once(data: bytes) -> None:
    before = time.process_time()
    result(b"#cloud-config\nkubesolo:\n " + data[: MAX_BYTES - 30])
    _, messages = result(data)
    assert messages
    assert all(len(message) < 1000 for message in messages)
    assert time.process_time() - before < 5


@pytest.mark.parametrize("case", cases.all_cases(), ids=lambda case: case.id)
def test_both_parsers_of_pyyaml_make_the_same_tree(case: cases.Case) -> None:
    trees = []
    for loader in (yaml.SafeLoader, yaml.CSafeLoader):
        try:
            trees.append(dump(tree.parse(decode(case.text.encode()), loader)))
        except UnreadableError as error:
            trees.append(str(error.place[0]))
    assert trees[0] == trees[1]


def dump(node: tree.Node | None) -> str:
    if node is None:
        return ""
    if isinstance(node, tree.Scalar):
        return f"{node.place}{node.plain}{node.text}"
    if isinstance(node, tree.Sequence):
        return f"{node.place}[{','.join(map(dump, node.items))}]"
    return f"{node.place}{{{','.join(dump(key) + dump(value) for key, value in node.entries)}}}"


def test_what_yaml_calls_printable_is_taken_and_nothing_else() -> None:
    # YAML 1.2, 5.1 (c-printable); UTF-8 has no surrogates.
    ranges = ((0x20, 0x7E), (0xA0, 0xD7FF), (0xE000, 0xFFFD), (0x10000, 0x10FFFF))
    printable = {0x9, 0xA, 0xD, 0x85}.union(*(range(first, last + 1) for first, last in ranges))
    found = {code for code in range(0x110000) if not UNPRINTABLE.search(chr(code))}
    assert found - set(range(0xD800, 0xE000)) == printable
