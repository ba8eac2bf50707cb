"""All shell of the node: shellcheck with BusyBox's dialect, and what the contract says of stages."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from tasks.lib.debian import tools
from tasks.lib.paths import TOP

INIT = TOP / "init"
LAUNCHER = TOP / "payload" / "kubesolo" / "kubesolo"
OVERLAY = TOP / "overlay"
LIVE = TOP / "live" / "init"
LAYER = TOP / "live" / "kubernetes"
STAGES = sorted((INIT / "stages").iterdir())
# Sourced files: not followed, so their variables look unused or unset here. EPOCHSECONDS: ash has it.
EXCLUDED = "SC1090,SC1091,SC2034,SC2153,SC2154,SC3028"


def shell_files() -> list[Path]:
    found = [INIT / "init", LAUNCHER, *INIT.rglob("*.sh")]
    found += (path for path in LIVE.iterdir() if path.is_file())
    for path in (*OVERLAY.rglob("*"), *LAYER.rglob("*")):
        if path.is_file() and not path.is_symlink():
            text = path.read_bytes()
            if path.suffix == ".sh" or text.startswith(b"#!/bin/sh"):
                found.append(path)
    return sorted(found)


def test_shellcheck() -> None:
    command = [*tools.command("shellcheck"), "-s", "busybox", "-e", EXCLUDED, *map(str, shell_files())]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_stages_are_those_of_the_boot() -> None:
    assert [stage.name for stage in STAGES] == [
        "00-early-mount.sh",
        "10-parse-cmdline.sh",
        "12-install.sh",
        "15-grow-disk.sh",
        "20-persistent-mount.sh",
        "30-kernel-modules.sh",
        "35-watchdog.sh",
        "40-sysctl.sh",
        "45-cloud-init.sh",
        "50-network.sh",
        "60-hostname.sh",
        "70-clock.sh",
        "75-extensions.sh",
        "80-containerd.sh",
        "85-database.sh",
        "90-kubesolo.sh",
    ]


def test_every_stage_ends_in_its_marker() -> None:
    for stage in STAGES:
        assert stage.read_text().splitlines()[-1] == f"stage_complete {stage.name}"


def test_absolute_paths_lie_under_the_root_variable() -> None:
    """So that a stage runs against a fake root, and never writes to the machine that tests it."""
    bare = re.compile(r"(?:[<>]|\b(?:mkdir|rm|cp|mv|touch|cat) (?:-\w+ )*)\"?/(?!dev/null)\w")
    for path in shell_files():
        for number, line in enumerate(path.read_text().splitlines(), 1):
            assert not bare.search(line.split("#")[0]), f"{path}:{number}: {line}"


def test_scripts_on_the_node_can_be_executed() -> None:
    for path in shell_files():
        if path.read_bytes().startswith(b"#!"):
            assert path.stat().st_mode & 0o111 or path == INIT / "init", path
