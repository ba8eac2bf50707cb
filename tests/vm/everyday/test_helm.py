"""Helm, of its own module, installs a chart from a file."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tasks.lib.process import die_with_parent, environment
from tasks.lib.vm.patience import stretched
from tasks.testimages import nginx_reference
from tasks.testtools import helm
from tests.vm.conftest import product
from tests.vm.everyday.conftest import MACHINE_SECONDS, Everyday

pytestmark = [pytest.mark.long, pytest.mark.timeout(MACHINE_SECONDS)]

CHART = Path(__file__).parent / "chart"
HELM_SECONDS = 120


@pytest.mark.timeout(1800)
def test_a_chart_is_installed_upgraded_rolled_back_and_removed(everyday: Everyday, tmp_path: Path) -> None:
    program = product(helm(), "test-tools")

    def run(*words: str | Path) -> str:
        ended = subprocess.run(
            [program, *words], capture_output=True, text=True, timeout=stretched(HELM_SECONDS),
            env=environment({**everyday.kubectl.environment, "HOME": str(tmp_path)}), check=False,
            preexec_fn=die_with_parent,
        )  # fmt: skip
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    run("package", CHART, "--destination", tmp_path)
    chart = tmp_path / "page-0.1.0.tgz"
    wait = ("--wait", "--timeout", "10m")
    run("install", "mine", chart, "--set", f"image={nginx_reference()},text=first", *wait)
    assert everyday.shell("asks", "wget -q -T 10 -O - http://mine/") == "first"
    run("upgrade", "mine", chart, "--reuse-values", "--set", "text=second", *wait)
    run("test", "mine", "--timeout", "10m")
    run("rollback", "mine", "1", *wait)
    assert everyday.shell("asks", "wget -q -T 10 -O - http://mine/") == "first"
    history = json.loads(run("history", "mine", "--output", "json"))
    assert [entry["revision"] for entry in history] == [1, 2, 3]
    run("uninstall", "mine", *wait)
    assert "NotFound" in everyday.kubectl.refused("get", "deployment", "mine")
