"""versions.toml: each mistake is named with file, line, key and what is allowed."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from agent.update.keys import TEST_KEY
from tasks.lib.config import CONFIG, load_config
from tasks.lib.errors import BuildError

GOOD = """\
[os]
version = "1.2.3"
epoch = 1795219200

[debian]
suite = "trixie"

[kernel]
flavour = "cloud"

[packages.tools]
names = ["zstd"]

[update]
keys = ["abababababababababababababababababababababababababababababababab"]
valid_days = 30

[downloads.it]
version = "1.0"
url = "https://example.com/it"
amd64 = "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd"
"""


def load(tmp_path: Path, text: str) -> None:
    path = tmp_path / "versions.toml"
    path.write_text(text)
    load_config(path)


def test_values_and_defaults(tmp_path: Path) -> None:
    (tmp_path / "versions.toml").write_text(GOOD)
    config = load_config(tmp_path / "versions.toml")
    assert (config.os.version, config.os.epoch) == ("1.2.3", 1795219200)
    assert (config.debian.drift, config.debian.snapshots) == ("allow", ())
    assert (config.kernel.provider, config.kernel.flavour) == ("debian", "cloud")
    assert config.payload.provider == "upstream"
    assert config.packages["tools"].names == ("zstd",)
    assert config.packages["tools"].depends == "all"
    assert (config.update.channel, config.update.valid_days, config.update.keys) == (
        "stable",
        30,
        ("ab" * 32,),
    )


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("[kernel]", "[kernels]", 8, ["kernels: unknown section", "known: os, debian"]),
        ("flavour", "flavor", 9, ["kernel.flavor: unknown key", "known: provider, flavour"]),
        ('"cloud"', '"cl/out"', 9, ['kernel.flavour: is "cl/out"', "a name of small letters"]),
        ('"cloud"', "true", 9, ["kernel.flavour: is true"]),
        ("1795219200", '"now"', 3, ['os.epoch: is "now"', "whole seconds"]),
        ("1795219200", "12.5", 3, ["os.epoch: is 12.5"]),
        ("1795219200", "true", 3, ["os.epoch: is true"]),
        ("1795219200", "1", 3, ["os.epoch: is 1"]),
        ('version = "1.2.3"\n', "", 1, ["os.version: is missing", "semantic version"]),
        ('"1.2.3"', '"1.2"', 2, ['os.version: is "1.2"']),
        ('"1.2.3"', '"../1.2.3"', 2, ["os.version"]),
        ('["ab', '["AB', 15, ["update.keys: has", "a public key of ./doit keygen"]),
        ("ab" * 32, TEST_KEY, 15, ["update.keys: has the tests' key"]),
        ("valid_days = 30", "valid_days = 0", 16, ["update.valid_days: is 0", "days, 1 to 3650"]),
        ("valid_days = 30", 'floor = "1"', 16, ['update.floor: is "1"', "semantic version"]),
        ("valid_days = 30", 'channel = "a/b"', 16, ['update.channel: is "a/b"']),
        ('["zstd"]', '"zstd"', 12, ['packages.tools.names: is "zstd"', "a list"]),
        ('["zstd"]', '["zstd", 7]', 12, ["packages.tools.names: has 7", "Debian package name"]),
        ('["zstd"]', '["zstd", "xz", "zstd"]', 12, ['packages.tools.names: has "zstd" twice']),
        ('["zstd"]', '["zstd", "--help"]', 12, ['packages.tools.names: has "--help"']),
        ('names = ["zstd"]\n', "", 11, ["packages.tools.names: is missing"]),
        ("[packages.tools]\nnames", "[packages]\ntools", 12, ["packages.tools: is ['zstd']"]),
        ("[packages.tools]\nnames = [", "packages = [", 11, ["packages"]),
        (
            'suite = "trixie"',
            'suite = "trixie"\ndrift = "maybe"',
            7,
            ['debian.drift: is "maybe"', '"forbid"'],
        ),
        ('suite = "trixie"', 'suite = "trixie"\nsnapshots = ["ftp://x"]', 7, ['has "ftp://x"', "http(s)"]),
        ('"https://e', '"ftp://e', 20, ['downloads.it.url: is "ftp://e', "file:///"]),
        ('"1.0"', '"../1"', 19, ['downloads.it.version: is "../1"']),
        ('"cdcd', '"CDcd', 21, ["downloads.it.amd64: is ", "a SHA-256, 64 hex digits"]),
        ('url = "https://example.com/it"\n', "", 18, ["downloads.it.url: is missing"]),
        ("[kernel]", "[[kernel]]", 8, ["kernel: is [{", "a section [kernel]"]),
    ],
)
def test_mistakes(tmp_path: Path, old: str, new: str, line: int, words: list[str]) -> None:
    assert old in GOOD
    with pytest.raises(BuildError) as caught:
        load(tmp_path, GOOD.replace(old, new))
    message = str(caught.value)
    assert f"versions.toml:{line}: " in message
    assert all(word in message for word in words), message
    assert "\n" not in message


def test_text_that_is_not_toml(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"versions\.toml: is not valid TOML: .*line 2"):
        load(tmp_path, GOOD.replace('"1.2.3"', '"1.2.3'))


def test_a_missing_file_and_bytes_that_are_not_text(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"versions\.toml: can not be read: No such file"):
        load_config(tmp_path / "versions.toml")
    (tmp_path / "versions.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(BuildError, match="not UTF-8"):
        load_config(tmp_path / "versions.toml")


def test_the_project_s_own_file_is_read_at_once() -> None:
    assert load_config(CONFIG).debian.suite == "trixie"
    started = time.perf_counter()
    load_config(CONFIG)
    assert time.perf_counter() - started < 0.05


LIVE = """
[live.kernel]
flavour = "cloud"
[live.components]
kubeadm = "module"
kubelet = { url = "https://example.org/kubelet", sha256 = "%s" }
""" % ("ab" * 32)


def test_the_live_cd(tmp_path: Path) -> None:
    (tmp_path / "versions.toml").write_text(GOOD + LIVE)
    live = load_config(tmp_path / "versions.toml").live
    assert (live.kernel.provider, live.kernel.flavour) == ("debian", "cloud")
    assert list(live.components) == ["kubelet"], "those that are compiled are the others"
    assert live.components["kubelet"].url == "https://example.org/kubelet"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("kublet = 'module'", "17: live.components.kublet: unknown component"),
        ("kubelet = 'modul'", '17: live.components.kubelet: is "modul"'),
        ("kubelet = { url = 'https://example.org/kubelet' }", "live.components.kubelet.sha256: is missing"),
        (
            "kubelet = { url = 'ftp://example.org', sha256 = '00' }",
            'live.components.kubelet.url: is "ftp://example.org"',
        ),
    ],
)
def test_a_bad_component_is_named(tmp_path: Path, line: str, said: str) -> None:
    lines = [*GOOD.splitlines(), "[live.components]", line]
    number = len(lines)
    with pytest.raises(BuildError) as error:
        load(tmp_path, "\n".join(lines))
    assert said.replace("17:", f"{number}:") in error.value.what
