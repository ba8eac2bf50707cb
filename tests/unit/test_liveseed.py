"""NoCloud seeds: what cloud-init reads, and what is refused."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pycdlib
import pytest
import yaml

from tasks import livecluster, liveseed
from tasks.commands import live_seed
from tasks.lib.errors import BuildError
from tasks.lib.process import run
from tasks.lib.vm.livevm import MAC
from tasks.liveseed import Seed

EPOCH = 1_700_000_000
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIH somebody@somewhere"


def read(path: Path) -> dict[str, str]:
    """The files of a seed; its label is checked."""
    image = pycdlib.PyCdlib()
    image.open(str(path))
    assert image.pvd.volume_identifier.rstrip() == b"cidata"
    found = {}
    for child in image.list_children(rr_path="/"):
        if child.is_file():
            stream = io.BytesIO()
            name = child.rock_ridge.name().decode()
            image.get_file_from_iso_fp(stream, rr_path=f"/{name}")
            found[name] = stream.getvalue().decode()
    image.close()
    return found


def test_the_classic_password_is_there_only_without_a_key_and_says_so() -> None:
    text = Seed("node").user_data()
    found = yaml.safe_load(text)
    assert text.startswith("#cloud-config\n")
    assert "development machine" in text
    assert found["users"] == [{"name": "root", "plain_text_passwd": "root", "lock_passwd": False}]
    assert "PermitRootLogin yes" in found["write_files"][0]["content"]
    text = Seed("node", (KEY,)).user_data()
    assert "plain_text_passwd" not in text
    assert "password" not in text.replace("lock_passwd", "")
    assert "PermitRootLogin" not in text
    users = yaml.safe_load(text)["users"]
    assert {user["name"]: user["ssh_authorized_keys"] for user in users} == {"root": [KEY], "debian": [KEY]}


def test_the_medium_has_what_nocloud_asks_for(tmp_path: Path) -> None:
    seed = Seed("edge", run=("touch /root/ran",), network=livecluster.network(2))
    liveseed.write_seed(seed.user_data(), seed.network, tmp_path / "a.iso", EPOCH)
    found = read(tmp_path / "a.iso")
    assert found.keys() == {"user-data", "meta-data", "network-config"}
    assert yaml.safe_load(found["user-data"])["hostname"] == "edge"
    assert yaml.safe_load(found["user-data"])["runcmd"] == ["touch /root/ran"]
    assert yaml.safe_load(found["network-config"])["version"] == 2


def test_same_text_same_bytes_other_text_other_instance(tmp_path: Path) -> None:
    instances = []
    for name, host in (("a", "one"), ("b", "one"), ("c", "two")):
        liveseed.write_seed(Seed(host).user_data(), {}, tmp_path / name, EPOCH)
        instances.append(yaml.safe_load(read(tmp_path / name)["meta-data"])["instance-id"])
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert instances[0] == instances[1] != instances[2]


@pytest.mark.parametrize(
    ("text", "hint"),
    [("", ""), ("-----BEGIN OPENSSH PRIVATE KEY-----\n", ".pub"), ("hello\n", ""), ("ssh-ed25519\n", "")],
)
def test_what_is_no_public_key_is_refused(tmp_path: Path, text: str, hint: str) -> None:
    (tmp_path / "key").write_text(text)
    with pytest.raises(BuildError) as caught:
        liveseed.read_keys(tmp_path / "key")
    assert hint in caught.value.hint
    with pytest.raises(BuildError):
        liveseed.read_keys(tmp_path / "missing")


def test_keys_are_taken_one_a_line(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(f"# mine\n{KEY}\n\necdsa-sha2-nistp256 AAAA x\n")
    assert len(liveseed.read_keys(tmp_path / "key")) == 2


@pytest.mark.parametrize("name", ["", "Upper", "-dash", "dash-", "dot.ted", "x" * 64, "white space"])
def test_what_is_no_host_name_is_refused(name: str) -> None:
    with pytest.raises(BuildError):
        live_seed.checked_name(name)


def command(*words: str | Path) -> str:
    return run([sys.executable, "-m", "tasks", "live-seed", *words]).stdout.decode()


def test_the_command(tmp_path: Path) -> None:
    (tmp_path / "id.pub").write_text(KEY + "\n")
    out = tmp_path / "seed.iso"
    assert "password root" in command("--out", out)
    said = command("--key", tmp_path / "id.pub", "--hostname", "edge", "--out", out)
    assert "password" not in said
    assert KEY in read(out)["user-data"]
    (tmp_path / "own").write_text("#cloud-config\nhostname: mine\n")
    command("--user-data", tmp_path / "own", "--out", out)
    assert read(out)["user-data"] == "#cloud-config\nhostname: mine\n"
    before = out.read_bytes()
    (tmp_path / "own").write_text("hostname: mine\n")
    with pytest.raises(BuildError, match="not user-data"):
        command("--user-data", tmp_path / "own", "--out", out)
    with pytest.raises(BuildError, match="is the whole file"):
        command("--user-data", tmp_path / "own", "--key", tmp_path / "id.pub", "--out", out)
    assert out.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["id.pub", "own", "seed.iso"]


def test_two_machines_are_told_of_each_other(tmp_path: Path) -> None:
    first, second = livecluster.seeds((), 2, init=True, folder=tmp_path)
    assert (first.hostname, second.hostname) == ("k8s-livecd-1", "k8s-livecd-2")
    (init,), (join,) = first.run, second.run
    token = init.split()[-1]
    assert join.split()[-1] == token
    assert join.split()[1:5] == ["join", "192.168.77.1:6443", "--address", "192.168.77.2"]
    assert second.network["ethernets"]["wire"]["match"] == {"macaddress": MAC.format(2)}
    again, _ = livecluster.seeds((), 2, init=True, folder=tmp_path)
    assert again == first, "another token would make it another instance"
    assert (tmp_path / "token").stat().st_mode & 0o077 == 0


def test_one_machine_makes_a_cluster_only_when_asked(tmp_path: Path) -> None:
    assert livecluster.seeds((), 1, init=False, folder=tmp_path)[0].run == ()
    assert "cluster init" in livecluster.seeds((), 1, init=True, folder=tmp_path)[0].run[0]
