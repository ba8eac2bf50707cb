"""What is wrong with each file of the corpus, word for word; and the published schema sees the same."""

from __future__ import annotations

import pytest
from jsonschema.protocols import Validator

from agent.config import problems, source, tree
from agent.config.encoding import UnreadableError, decode
from tests.unit.config import cases, editor

CASES = cases.all_cases()
NAME = "cloud-init.yaml"


@pytest.fixture(scope="module")
def schema() -> Validator:
    return editor.validator()


def messages(case: cases.Case) -> str:
    return "\n".join(problems.lines(source.read_file(NAME, case.text.encode()).problems))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_messages(case: cases.Case) -> None:
    if cases.WRITE:
        made = [old._replace(messages=messages(old)) for old in cases.read(case.file)]
        cases.write(case.file, made)
    else:
        assert messages(case) == case.messages


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_the_schema_agrees(case: cases.Case, schema: Validator) -> None:
    found = bool(problems.errors(source.read_file(NAME, case.text.encode()).problems))
    try:
        wrong = not schema.is_valid(editor.plain(tree.parse(decode(case.text.encode()))))
    except UnreadableError:
        wrong = not case.in_schema
    assert found if wrong or not case.in_schema else not found


def test_the_schema_says_what_it_is_said_to_see() -> None:
    """A mark `(not in the schema)` that is no longer true would hide a schema that became wrong."""
    made = editor.validator()
    for case in CASES:
        if not case.in_schema:
            try:
                node = tree.parse(decode(case.text.encode()))
            except UnreadableError:
                continue
            assert made.is_valid(editor.plain(node)), case.id


def test_no_secret_is_in_a_message() -> None:
    for case in CASES:
        assert "secret" not in messages(case), case.title
