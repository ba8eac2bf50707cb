"""The CNI plugins in one program: each name is a plugin, and no other name is."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tasks import payload
from tasks.lib.go.program import compile_program

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("cni") / "kubesolo-cni"
    compile_program(payload.MODULE, payload.HELPERS[payload.CNI], out)
    return out


def call(program: Path, name: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Call it as containerd does (CNI specification, execution protocol)."""
    link = program.with_name(name)
    if not link.exists():
        link.symlink_to(program.name)
    return subprocess.run(
        [link], input='{"cniVersion": "1.0.0"}', env=os.environ | variables, capture_output=True, text=True,
        check=False, timeout=60,
    )  # fmt: skip


@pytest.mark.parametrize("name", payload.CNI_NAMES)
def test_every_plugin_answers_under_its_name(program: Path, name: str) -> None:
    assert f"CNI {name} plugin" in call(program, name).stderr
    answer = call(program, name, CNI_COMMAND="VERSION").stdout
    assert "1.0.0" in json.loads(answer)["supportedVersions"]


def test_another_name_is_none(program: Path) -> None:
    result = call(program, "flannel")
    assert result.returncode == 2
    assert "none of the plugins" in result.stderr
