"""Options of the tests."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--write-golden", action="store_true", help="keep what products hold now as reviewed")
    parser.addoption("--write-pictures", action="store_true", help="put the screens that tests see in docs")
