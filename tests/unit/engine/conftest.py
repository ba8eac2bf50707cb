from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.engine.project import Project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """An empty checkout."""
    return Project(tmp_path / "check out")
