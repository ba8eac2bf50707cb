"""Options of the tests, and which of them stay together when several run at once."""

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

# Tests that share what one process holds: a file's, and those of this folder, which share a machine.
TOGETHER = "tests/vm/everyday"


class ByMachine(LoadScopeScheduling):
    """A file is one process' work, for most machines are started once a file."""

    def _split_scope(self, nodeid: str) -> str:
        return TOGETHER if nodeid.startswith(f"{TOGETHER}/") else nodeid.partition("::")[0]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByMachine:
    return ByMachine(config, log)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--write-golden", action="store_true", help="keep what products hold now as reviewed")
    parser.addoption("--write-pictures", action="store_true", help="put the screens that tests see in docs")
