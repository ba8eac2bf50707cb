"""Versions in their order, windows of a day."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.update import window
from agent.update.version import Version

# Semantic Versioning 2.0.0, item 11.
ORDER = (
    "0.9.9", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2",
    "1.0.0-beta.11", "1.0.0-rc.1", "1.0.0", "1.0.1", "1.9.0", "1.10.0", "2.0.0",
)  # fmt: skip
NUMBERS = st.integers(0, 10**9 - 1)
CORES = st.tuples(NUMBERS, NUMBERS, NUMBERS)


def test_the_order_is_that_of_the_specification() -> None:
    versions = [Version(text) for text in ORDER]
    assert all(a < b and not b < a for a, b in itertools.pairwise(versions))
    assert len(set(versions)) == len(ORDER)


def test_what_stands_behind_a_plus_sign_does_not_count() -> None:
    assert Version("1.2.3+kubesolo.1") == Version("1.2.3+kubesolo.2")
    assert not Version("1.2.3+a") < Version("1.2.3+b")


@pytest.mark.parametrize(
    "text",
    ["", "1", "1.2", "1.2.3.4", "01.2.3", "1.2.3-", "1.2.3-01", "v1.2.3", "1.2.3 ", "1.2.3\n", "-1.2.3",
     "\u0967.2.3",
     "1.2.3-" + "a" * 99, "9999999999.0.0"],
)  # fmt: skip
def test_what_is_no_version_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no version such as"):
        Version(text)


@given(CORES, CORES)
def test_numbers_are_compared_by_value(one: tuple[int, int, int], other: tuple[int, int, int]) -> None:
    a, b = (Version(".".join(map(str, core))) for core in (one, other))
    assert (a < b) == (one < other)
    assert (a == b) == (one == other)


@given(st.text(max_size=80))
def test_any_text_is_a_version_or_a_value_error(text: str) -> None:
    try:
        version = Version(text)
    except ValueError:
        return
    assert version == Version(text)
    assert not version < version


@given(st.integers(0, 1439), st.integers(0, 1439), st.integers(0, 1439))
def test_a_window_and_its_complement_share_no_minute(start: int, end: int, minute: int) -> None:
    text = f"{start // 60:02}:{start % 60:02}-{end // 60:02}:{end % 60:02}"
    if start == end:
        with pytest.raises(ValueError, match="never opens"):
            window.parse(text)
        return
    found = window.parse(text)
    other = window.Window(end, start)
    assert found.contains(minute) != other.contains(minute)
    assert found.contains((minute + found.wait(minute)) % 1440)
    assert (found.wait(minute) == 0) == found.contains(minute)


def test_a_window_wraps_around_midnight() -> None:
    found = window.parse("22:30-04:00")
    assert [found.contains(minute) for minute in (22 * 60 + 29, 22 * 60 + 30, 0, 239, 240)] == [
        False, True, True, True, False,
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text", ["", "22-04", "24:00-01:00", "1:00-2:00", "22:30-04:60", "22:30/04:00", "always"]
)
def test_what_is_no_window_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="maintenance window"):
        window.parse(text)
