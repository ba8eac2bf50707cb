"""The Live CD's root: who may make it, the repository that it is made from, what is left out, its layers."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import select
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

from tasks import livekernel, livekubernetes, liverootfs
from tasks.lib.arch import ARM64
from tasks.lib.config import LiveKernel, load_config
from tasks.lib.debian import bootstrap
from tasks.lib.debian.lockfile import Package
from tasks.lib.errors import BuildError
from tasks.lib.formats.tree import Tree
from tasks.lib.target import from_config
from tests.unit.debian_archive import deb

EPOCH = 1_795_219_200


def programs(folder: Path, *names: str) -> str:
    """A PATH with these programs alone."""
    folder.mkdir()
    for name in names:
        (folder / name).write_text("#!/bin/sh\n")
        (folder / name).chmod(0o755)
    return str(folder)


def as_user(monkeypatch: pytest.MonkeyPatch, path: str, subordinate: tuple[Path, Path]) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    monkeypatch.setenv("PATH", path)
    monkeypatch.setattr(bootstrap, "SUBORDINATE", subordinate)


def test_an_ordinary_user_without_newuidmap_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_user(monkeypatch, programs(tmp_path / "bin", *bootstrap.NEEDED), (tmp_path / "u", tmp_path / "g"))
    with pytest.raises(BuildError, match="needs newuidmap and newgidmap") as error:
        bootstrap.mode()
    assert "\n" not in error.value.what
    assert "apt-get install -y uidmap" in error.value.hint


def test_an_ordinary_user_without_further_numbers_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = programs(tmp_path / "bin", *bootstrap.NEEDED, *bootstrap.MAPPERS)
    users, groups = tmp_path / "subuid", tmp_path / "subgid"
    as_user(monkeypatch, path, (users, groups))
    users.write_text("12345:100000:65536\n")
    groups.write_text("somebody:100000:65536\n")
    with pytest.raises(BuildError, match=f"^{re.escape(str(groups))}: no line gives this user"):
        bootstrap.mode()
    groups.write_text("12345:100000:65536\n")
    assert bootstrap.mode() == "unshare"


def test_a_host_without_apt_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", programs(tmp_path / "bin", "perl", "tar", "dpkg", "unshare"))
    with pytest.raises(BuildError, match="needs apt-get, which this host has not"):
        bootstrap.mode()


def test_another_processors_packages_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="can not run the scripts of arm64 packages"):
        bootstrap.install([], "trixie", ARM64, (), tmp_path / "out", EPOCH, tmp_path)


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user's mmdebstrap makes its own name spaces")
def test_a_build_that_is_stopped_leaves_nothing_running(tmp_path: Path) -> None:
    """Also not what the packages' scripts have started and nobody waits for."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    script = f"(exec sleep 600 3<>{shlex.quote(str(pipe))}) & wait"
    started = subprocess.Popen([*bootstrap.NAMESPACE["root"], "sh", "-c", script])
    writer = os.open(pipe, os.O_WRONLY)  # when the sleeper has opened its end
    started.kill()
    started.wait()
    watch = select.poll()
    watch.register(writer, select.POLLERR)
    assert watch.poll(30_000), "the last reader has gone"
    os.close(writer)


def test_the_repository_says_what_the_lock_says(tmp_path: Path) -> None:
    content = deb("Package: thing\nVersion: 1:2\nArchitecture: amd64\nEssential: yes\n", {"usr/thing": b"1"})
    file = tmp_path / "object"
    file.write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    package = Package("thing", "1:2", "amd64", "thing", "main", "pool/t/thing_2.deb", len(content), digest)
    bootstrap.write_repository([(package, file)], tmp_path / "repository", "trixie")
    index = (tmp_path / "repository" / "Packages").read_bytes()
    assert f"Filename: ./thing_2.deb\nSize: {len(content)}\nSHA256: {digest}\n" in index.decode()
    assert "Essential: yes\n" in index.decode()
    release = (tmp_path / "repository" / "Release").read_text()
    assert "Codename: trixie\n" in release
    assert f" {hashlib.sha256(index).hexdigest()} {len(index)} Packages\n" in release
    assert (tmp_path / "repository" / "thing_2.deb").read_bytes() == content


def test_what_belongs_to_one_installation_is_left_behind() -> None:
    tree = Tree()
    for path in (
        "etc/ssh/ssh_host_rsa_key", "etc/ssh/sshd_config", "etc/apt/sources.list", "var/log/dpkg.log",
        "var/lib/dpkg/status",
    ):  # fmt: skip
        tree.add_file(path, "x")
    tree.add_dir("var/log/private", 0o700)
    tree.own("var/log/private", 0, 4, {"system.posix_acl_access": "\x02", "user.kept": "1"})
    tree.add_file("etc/machine-id", "0123456789abcdef0123456789abcdef\n")
    kept = liverootfs.cleaned(tree)
    files = {path for path, entry in kept.items() if entry.kind == "file"}
    assert files == {"etc/ssh/sshd_config", "var/lib/dpkg/status", "etc/machine-id"}
    assert kept["etc/machine-id"].read() == b"", "systemd makes one at the first start"
    assert kept["var/log/private"].owner == (0, 4)
    assert kept["var/log/private"].xattrs == (("user.kept", "1"),)


def test_owners_and_attributes_survive(tmp_path: Path) -> None:
    tree = Tree()
    tree.add_file("usr/bin/ping", "x", 0o755)
    tree.own("usr/bin/ping", 0, 42, {"security.capability": "cap"})
    tree.write_tar(tmp_path / "debian.tar", EPOCH)
    whole = liverootfs.joined([tmp_path / "debian.tar"], [liverootfs.FILES])
    assert whole["usr/bin/ping"].owner == (0, 42)
    assert whole["usr/bin/ping"].xattrs == (("security.capability", "cap"),)
    assert whole["etc/hostname"].read() == b"k8s-livecd\n"
    assert whole["etc/systemd/system/multi-user.target.wants/systemd-networkd.service"].kind == "symlink"


def test_a_packed_tar_has_no_time(tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_bytes(b"content" * 1000)
    for name in ("a", "b"):
        liverootfs.pack(tmp_path / "x.tar", tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert gzip.decompress((tmp_path / "a").read_bytes()) == b"content" * 1000


@pytest.fixture
def config(tmp_path: Path) -> Tree:
    """The layer of our own files, for a kubeadm of another version."""
    names = tmp_path / "images.json"
    about = {"version": "v1.99.1", "images": {"pause": "registry.example/pause:9.9"}}
    names.write_text(json.dumps(about))
    return livekubernetes.config(names)


def test_the_configuration_names_the_version_of_this_kubeadm(config: Tree) -> None:
    documents = {row["kind"]: row for row in yaml.safe_load_all(config["etc/kubernetes/kubeadm.yaml"].read())}
    assert documents["ClusterConfiguration"]["kubernetesVersion"] == "v1.99.1"
    assert documents["KubeProxyConfiguration"]["mode"] == "nftables"
    assert documents["InitConfiguration"]["timeouts"]["kubernetesAPICall"] == "20m0s"
    pinned = config["etc/containerd/conf.d/pause.toml"].read().decode()
    assert 'sandbox = "registry.example/pause:9.9"' in pinned


def test_every_unit_that_is_wanted_is_there(config: Tree) -> None:
    wanted = [path for path, entry in config.items() if ".wants/" in path and entry.kind == "symlink"]
    ours = [path for path in wanted if "systemd-networkd" not in path]
    assert len(ours) >= 4
    for path in ours:
        assert config.hop(path) in config, path


def test_programs_of_units_are_executable(config: Tree) -> None:
    """What a unit starts is a script of this layer, or a program of another one."""
    for path, entry in config.items():
        if not path.endswith(".service") or entry.kind != "file":
            continue
        for program in re.findall(r"^ExecStart=/(\S+)", entry.read().decode(), re.MULTILINE):
            if program.startswith("usr/lib/k8s-livecd/"):
                assert config[program].mode == 0o755, path


def test_an_unknown_provider_of_the_kernel_is_named() -> None:
    target = from_config(load_config())
    assert livekernel.live_target(target, LiveKernel("debian", "cloud")).flavour == "cloud"
    assert livekernel.live_target(target, LiveKernel("source")).kernel == "source"
    with pytest.raises(BuildError, match=r"live\.kernel\.provider: 'tinycore' is unknown") as error:
        livekernel.live_target(target, LiveKernel("tinycore"))
    assert error.value.hint == "known: debian, source"


def test_modules_are_indexed(tmp_path: Path) -> None:
    """All modules, with what the new root's modprobe reads; the kernel's configuration stays beside them."""
    source = Tree()
    folder = "usr/lib/modules/6.1.0"
    source.add_file(f"{folder}/config", "CONFIG_X=y\n")
    source.add_file(f"{folder}/modules.order", "")
    source.add_file(f"{folder}/modules.builtin", "kernel/fs/ext4/ext4.ko\n")
    source.write_tar(tmp_path / "tree.tar", EPOCH)
    tree = livekernel.indexed(tmp_path / "tree.tar", tmp_path)
    assert {
        f"{folder}/{name}" for name in ("config", "modules.dep", "modules.dep.bin", "modules.alias.bin")
    } <= set(tree)
