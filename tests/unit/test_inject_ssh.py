"""./doit inject-ssh: a key in the data partition of a copy of a disk image."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.config import source
from tasks import diskimage, injection
from tasks.lib.debian import tools
from tasks.lib.errors import BuildError
from tasks.lib.formats import ext4, gpt
from tasks.lib.formats.hybrid import guid
from tasks.lib.process import run
from tests.unit.targets import EPOCH

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMzkWAcmBAlR3oMVjFjJBUtnDsmPXQwVqkZ6OAQ5p2rv me@here"


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A disk with nothing but a data partition."""
    path, row = tmp_path / "disk.img", diskimage.LAYOUT[diskimage.DATA - 1]
    guids = {number: guid(b"x", str(number)) for number in range(6)}
    gpt.write(path, diskimage.SIZE, diskimage.LAYOUT, guids)
    ext4.write(path, ext4.Shape(row.name, guids[4], row.offset, row.length, ()), EPOCH, tmp_path, None)
    return path


def key_file(tmp_path: Path, text: str) -> Path:
    (tmp_path / "key.pub").write_text(text)
    return tmp_path / "key.pub"


def test_the_copy_has_a_configuration_with_the_key(image: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.img"
    injection.inject(image, injection.configuration(key_file(tmp_path, f"# mine\n{KEY}\n")), out)
    place = f"{out}?offset={diskimage.LAYOUT[diskimage.DATA - 1].offset}"
    text = run([*tools.command("debugfs"), "-R", f"cat /{injection.FILE}", place]).stdout
    assert KEY.encode() in text
    assert not source.read_file("x", text, boot=False).problems
    about = run([*tools.command("debugfs"), "-R", f"stat /{injection.FILE}", place]).stdout.decode()
    assert "Mode:  0600" in about
    run([*tools.command("e2fsck"), "-f", "-n", place])
    with pytest.raises(BuildError, match="has a configuration already"):
        injection.inject(out, "x", tmp_path / "again.img")
    assert not (tmp_path / "again.img").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("-----BEGIN OPENSSH PRIVATE KEY-----\n", "is a private key"),
        ("ssh-ed25519 not-base64!\n", "key.pub: "),
        ("", "key.pub: "),
    ],
)
def test_what_is_no_public_key_is_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(BuildError, match=said):
        injection.configuration(key_file(tmp_path, text))
