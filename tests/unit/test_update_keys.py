"""Key pairs and signatures of updates: ./doit keygen, ./doit sign, and where public keys go."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from agent.update.keys import TEST_KEY
from tasks import rootfs
from tasks.commands.sign import VARIABLE
from tasks.lib.engine.command import command
from tasks.lib.errors import BuildError
from tasks.lib.formats.tree import Tree
from tasks.lib.release import signing, testkey


def doit(name: str, *arguments: str | Path) -> None:
    made: Any = command(name)  # doit is not typed
    assert made.parse_execute([str(argument) for argument in arguments]) == 0


def keygen(path: Path) -> str:
    """A new pair; its public key."""
    doit("keygen", "--out", path)
    return path.with_name(f"{path.name}.pub").read_text().strip()


def verify(public: str, signature: bytes, content: bytes) -> None:
    Ed25519PublicKey.from_public_bytes(bytes.fromhex(public)).verify(signature, content)


def sign(path: Path, key: Path, *, add: bool = False) -> None:
    doit("sign", path, "--key", key, *(["--add"] if add else []))


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    path = tmp_path / "latest.json"
    path.write_bytes(b'{"schema": 1}\n')
    return path


def test_a_pair_has_a_secret_half_and_one_to_hand_out(tmp_path: Path) -> None:
    public = keygen(tmp_path / "key.pem")
    assert len(bytes.fromhex(public)) == 32
    assert (tmp_path / "key.pem").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "key.pem").read_bytes().startswith(b"-----BEGIN PRIVATE KEY-----\n")
    assert signing.public_hex(signing.read_key(tmp_path / "key.pem")) == public


@pytest.mark.parametrize("name", ["key.pem", "key.pem.pub"])
def test_a_key_is_never_overwritten(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("precious")
    with pytest.raises(BuildError, match=f"{name}: is there already"):
        keygen(tmp_path / "key.pem")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {name: "precious"}


def test_keygen_says_what_comes_next(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    public = keygen(tmp_path / "key.pem")
    shown = capsys.readouterr().out
    assert f'keys = ["{public}"]' in shown
    assert "./doit sign output/update/stable/amd64/latest.json --key" in shown


def test_a_signature_is_64_raw_bytes_over_the_whole_file(tmp_path: Path, manifest: Path) -> None:
    public = keygen(tmp_path / "key.pem")
    sign(manifest, tmp_path / "key.pem")
    signature = (tmp_path / "latest.json.sig").read_bytes()
    assert len(signature) == 64
    verify(public, signature, manifest.read_bytes())
    with pytest.raises(InvalidSignature):
        verify(public, signature, manifest.read_bytes() + b" ")


def test_the_other_name_of_the_manifest_is_signed_too(tmp_path: Path, manifest: Path) -> None:
    (tmp_path / "0.2.0.json").write_bytes(manifest.read_bytes())
    (tmp_path / "0.1.0.json").write_bytes(b"an older one")
    keygen(tmp_path / "key.pem")
    sign(manifest, tmp_path / "key.pem")
    assert sorted(path.name for path in tmp_path.glob("*.sig")) == ["0.2.0.json.sig", "latest.json.sig"]
    assert (tmp_path / "0.2.0.json.sig").read_bytes() == (tmp_path / "latest.json.sig").read_bytes()


def test_several_keys_sign_as_lines_of_hex_each_once(tmp_path: Path, manifest: Path) -> None:
    public = [keygen(tmp_path / "old.pem"), keygen(tmp_path / "new.pem")]
    sign(manifest, tmp_path / "old.pem")
    for _ in range(2):
        sign(manifest, tmp_path / "new.pem", add=True)
    lines = (tmp_path / "latest.json.sig").read_text().splitlines()
    assert [len(line) for line in lines] == [128, 128]
    for key, line in zip(public, lines, strict=True):
        verify(key, bytes.fromhex(line), manifest.read_bytes())


def test_the_key_may_be_named_by_the_environment(
    tmp_path: Path, manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keygen(tmp_path / "key.pem")
    with pytest.raises(BuildError, match="needs a private key"):
        doit("sign", manifest)
    monkeypatch.setenv(VARIABLE, str(tmp_path / "key.pem"))
    doit("sign", manifest)
    assert (tmp_path / "latest.json.sig").stat().st_size == 64


@pytest.mark.parametrize(
    "content", [b"", b"no key", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"]
)
def test_what_is_no_key_is_refused(tmp_path: Path, manifest: Path, content: bytes) -> None:
    (tmp_path / "key.pem").write_bytes(content)
    with pytest.raises(BuildError, match=r"key\.pem: no private key"):
        sign(manifest, tmp_path / "key.pem")
    assert not list(tmp_path.glob("*.sig"))


def test_what_is_no_signature_is_not_added_to(tmp_path: Path, manifest: Path) -> None:
    keygen(tmp_path / "key.pem")
    (tmp_path / "latest.json.sig").write_bytes(b"\xff" * 63)
    with pytest.raises(BuildError, match="holds no signatures"):
        sign(manifest, tmp_path / "key.pem", add=True)


def test_the_key_of_the_tests_is_the_one_that_nodes_refuse() -> None:
    assert signing.public_hex(testkey.private_key()) == TEST_KEY


def test_release_images_have_no_mark_of_the_tests() -> None:
    release, empty, tested = Tree(), Tree(), Tree()
    rootfs.add_update_keys(release, ["ab" * 32, "cd" * 32], for_tests=False)
    rootfs.add_update_keys(empty, [], for_tests=False)
    rootfs.add_update_keys(tested, [], for_tests=True)
    folder = rootfs.KEYS_FOLDER
    files = {path for path in release if release[path].kind == "file"}
    assert files == {f"{folder}/release.pub"}
    assert release[f"{folder}/release.pub"].read().decode() == "ab" * 32 + "\n" + "cd" * 32 + "\n"
    assert empty[folder].kind == "dir"
    assert [path for path in empty if empty[path].kind == "file"] == []
    assert {path for path in tested if tested[path].kind == "file"} == {
        rootfs.TEST_MARK,
        f"{folder}/test.pub",
    }
