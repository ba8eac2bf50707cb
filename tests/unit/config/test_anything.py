"""Whatever comes in, the result is a configuration or messages; and files of one line a value come out."""

from __future__ import annotations

import json
import re

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.config import problems, source, tree
from agent.config.encoding import decode
from agent.config.keys import ROOT
from agent.config.kinds import Anything, Boolean, Choice, Kind, ListOf, Text, Whole
from agent.config.records import Key, Record, Table
from agent.config.render import render
from tasks.lib.paths import TOP
from tests.unit.config import cases, editor

# Without a database of what failed before: a run must not depend on the last one.
often = settings(
    max_examples=200, deadline=None, database=None, derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)  # fmt: skip
TEXTS = [case.text for case in cases.all_cases()]
TEXTS += [path.read_text() for path in sorted((TOP / "docs" / "examples").glob("*.yaml"))]
HEADER = "#cloud-config\n"
SCHEMA = editor.validator()
MESSAGE = re.compile(r"f(:\d+:\d+)?: [ -~\u00a1-\U0010ffff]+")

scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=12),
    st.sampled_from(["yes", "off", "10.0.0.5/24", "::1", "/mnt/data/a b", "--debug", "a,--b", "x" * 300]),
)  # fmt: skip
slips = st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 6), st.text(max_size=4)), max_size=4)
junk = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def judge(data: bytes) -> source.Reading:
    """Read a file both as a person and as a node does, and check what holds of every result."""
    as_node = source.read_file("f", data, boot=True)
    reading = source.read_file("f", data)
    assert (as_node.config is None) == (reading.config is None)
    for each in (as_node, reading):
        lines = problems.lines(each.problems)
        assert all(MESSAGE.fullmatch(line) for line in lines[: problems.SHOWN]), lines
        if each.config is None:
            assert problems.errors(each.problems)
            continue
        made = render(each.config)
        again = source.read_file("f", data, boot=each is as_node)
        assert again.config is not None
        assert render(again.config) == made
        for name, (content, _) in made.items():
            text = content.decode()
            assert text == "" or text.endswith("\n"), name
            assert all(line.isprintable() for line in text.split("\n")), name
            if name.startswith("network"):
                assert all(re.match("NETWORK_[A-Z0-9]+=.", line) for line in text.splitlines()), text
    return reading


@often
@given(st.binary(max_size=400) | st.text(max_size=200).map(lambda text: (HEADER + text).encode()))
def test_bytes(data: bytes) -> None:
    judge(data)
    source.read_nocloud(("u", data), ("m", data), ("n", data))


@often
@given(st.sampled_from(TEXTS), slips)
def test_files_with_slips_of_the_finger(text: str, made: list[tuple[int, int, str]]) -> None:
    for place, gone, new in made:
        at = place % (len(text) + 1)
        text = text[:at] + new + text[at + gone :]
    judge(text.encode(errors="surrogatepass"))


@st.composite
def values(draw: st.DrawFn, kind: Kind) -> object:
    """A value that is right of its kind more often than not."""
    if draw(st.integers(0, 19)) == 0:
        return draw(junk)
    if isinstance(kind, Boolean):
        return draw(st.booleans())
    if isinstance(kind, Whole):
        return draw(st.integers(kind.least - 1, kind.most + 1))
    if isinstance(kind, Choice):
        return draw(st.sampled_from(kind.words))
    if isinstance(kind, ListOf):
        return draw(st.lists(values(kind.item), max_size=3))
    if isinstance(kind, Record):
        return draw(records(kind))
    if isinstance(kind, Table):
        names = st.sampled_from(["eth0", "eth1", "a b", "vlan10"])
        return draw(st.dictionaries(names, records(kind.record), max_size=3))
    if isinstance(kind, Text):
        wanted = re.compile(kind.pattern or ".*", re.ASCII)
        return draw(st.from_regex(wanted, fullmatch=True) | st.text(max_size=20))
    assert isinstance(kind, Anything)
    return draw(junk)


@st.composite
def records(draw: st.DrawFn, record: Record) -> dict[str, object]:
    """Some of a record's keys, now and then with one that it does not have."""
    keys = draw(
        st.lists(st.sampled_from(list(record.keys.values())), max_size=4, unique_by=lambda key: key.name)
    )
    found = {key.name: draw(examples(key)) for key in (*keys, *(record.keys[name] for name in record.needed))}
    if draw(st.integers(0, 29)) == 0:
        found[draw(st.text(max_size=6))] = draw(junk)
    return found


def examples(key: Key) -> st.SearchStrategy[object]:
    """The documented example or default, else any value of the kind."""
    known = [json.loads(text) for text in (key.example, key.default) if text]
    return st.sampled_from(known) | values(key.kind) if known else values(key.kind)


@often
@given(made=records(ROOT))
def test_what_the_schema_refuses_the_node_refuses(made: dict[str, object]) -> None:
    """The other way round does not hold: a schema cannot compare addresses."""
    data = (HEADER + json.dumps(made, ensure_ascii=False)).encode()
    reading = judge(data)
    if reading.config is not None and not problems.errors(reading.problems):
        found = [error.message for error in SCHEMA.iter_errors(editor.plain(tree.parse(decode(data))))]
        assert found == []
