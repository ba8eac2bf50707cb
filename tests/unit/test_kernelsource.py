"""A kernel from source: what it is asked to have, and how its compilation is started."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from tasks import kernel, kernelsource
from tasks.lib.arch import AMD64
from tasks.lib.debian import bootstrap
from tasks.lib.kernel.audit import audit, parse_config, read_requirements
from tasks.lib.kernel.modules import MODULES

EPOCH = 1_795_219_200
CONDITIONS = ("source", "amd64", "iptables")


def test_it_is_asked_for_all_that_the_audit_wants_built_in() -> None:
    text = kernelsource.wanted(kernel.REQUIREMENTS, CONDITIONS)
    requirements = read_requirements(kernel.REQUIREMENTS, CONDITIONS)
    report = audit(parse_config(text), requirements, image=set(), initramfs=set())
    assert not report.failures(), "without a single module"
    assert requirements


def test_no_option_is_said_twice() -> None:
    """The last line of an option counts: a second one would hide the first."""
    text = kernelsource.CONFIG.read_text()
    names = re.findall(r"^(?:# )?CONFIG_(\w+)(?:=| is not set)", text, re.MULTILINE)
    assert sorted(names) == sorted(set(names))
    for line in text.splitlines():
        assert re.fullmatch(r'|# .*|CONFIG_\w+=(y|".*")', line), line
    requirements = {item.option for item in read_requirements(kernel.REQUIREMENTS, CONDITIONS)}
    assert not requirements & set(names), "audit.toml asks for it already"


def test_what_was_compiled_is_taken_from_the_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hooks name the fragment, the script and the place of the result, whatever signs the path has."""
    scratch = tmp_path / "a folder"
    scratch.mkdir()
    seen: list[str] = []

    def install(*arguments: Any) -> None:  # noqa: ANN401
        seen.extend(arguments[-1])
        assert arguments[4] == bootstrap.NOWHERE
        out = scratch / "made" / "out"
        (out / MODULES / "6.12.1-source").mkdir(parents=True)
        (out / MODULES / "6.12.1-source" / "modules.builtin").write_text("kernel/fs/ext4/ext4.ko\n")
        (out / "vmlinuz").write_bytes(b"MZ")
        (out / "config").write_text("CONFIG_X=y\n")

    monkeypatch.setattr(bootstrap, "install", install)
    image, config, tree = kernelsource.compiled([], "trixie", AMD64, "CONFIG_X=y\n", EPOCH, scratch)
    assert (image, config) == (b"MZ", b"CONFIG_X=y\n")
    assert f"{MODULES}/6.12.1-source/modules.builtin" in tree
    copied = next(shlex.split(hook) for hook in seen if hook.startswith("copy-in"))
    assert copied[1:] == [str(scratch / "wanted.config"), str(kernelsource.COMPILE), "/build"]
    assert (scratch / "wanted.config").read_text() == "CONFIG_X=y\n"
    assert any(f"KBUILD_BUILD_TIMESTAMP=@{EPOCH}" in hook for hook in seen)
