"""Stages 00 to 10: kernel file systems, cgroups, boot parameters."""

from __future__ import annotations

import pytest

from tests.device.fakeroot import FakeRoot, complete

SHOW = '. "$ROOT/run/kubesolo-init/lib/stage.sh"\nprintf "%s\\n" "$KUBESOLO_{name}"'


def setting(root: FakeRoot, name: str) -> str:
    return root.shell(SHOW.replace("{name}", name)).stdout.removesuffix("\n")


def parse(root: FakeRoot, cmdline: str) -> str:
    """Run stage 10 with a command line; returns what it logged."""
    root.write("proc/cmdline", f"BOOT_IMAGE=/boot/vmlinuz {cmdline} console=ttyS0\n")
    result = root.stage("10-parse-cmdline")
    assert result.returncode == 0, result.stderr
    return result.stderr


def test_mounts_what_is_missing(root: FakeRoot) -> None:
    root.write("sys/fs/cgroup/cgroup.subtree_control", "")
    result = root.stage("00-early-mount")
    assert result.returncode == 0, result.stderr
    assert result.stderr.splitlines()[-1] == complete("00-early-mount")
    mounts = root.called("mount")
    types = [mount.split()[1] for mount in mounts if mount.startswith("-t")]
    assert types == ["sysfs", "devtmpfs", "tmpfs", "tmpfs", "devpts", "tmpfs", "cgroup2"]
    assert mounts[-1] == "--make-rshared /"
    assert root.read("sys/fs/cgroup/init/cgroup.procs") == "1\n"


def test_mounts_nothing_twice(root: FakeRoot) -> None:
    points = ["/proc", "/sys", "/dev", "/run", "/tmp", "/dev/pts", "/dev/shm", "/sys/fs/cgroup"]
    root.write("proc/mounts", "".join(f"x {point} y rw 0 0\n" for point in points))
    assert root.stage("00-early-mount").returncode == 0
    assert root.called("mount") == ["--make-rshared /"]


def test_failed_mount_fails_the_stage(root: FakeRoot) -> None:
    root.fake("mount", "false")
    result = root.stage("00-early-mount")
    assert result.returncode != 0
    assert "[OK]" not in result.stderr


@pytest.mark.parametrize(
    ("parameter", "name", "value"),
    [
        ("kubesolo.data=LABEL=OTHER", "DATA", "LABEL=OTHER"),
        ("kubesolo.data=/dev/vdb1", "DATA", "/dev/vdb1"),
        ("kubesolo.debug", "DEBUG", "1"),
        ("kubesolo.shell", "SHELL", "1"),
        ("kubesolo.nopersist", "NOPERSIST", "1"),
        ("kubesolo.cloudinit=/x/y.yaml", "CLOUDINIT", "/x/y.yaml"),
        ("kubesolo.flags=--debug,--full", "FLAGS", "--debug,--full"),
        ('kubesolo.flags="--debug --full"', "FLAGS", "--debug --full"),
        ('"kubesolo.flags=--debug --full"', "FLAGS", "--debug --full"),
        ("kubesolo.flags=it's", "FLAGS", "it's"),
        ("kubesolo.flags=$(id)`id`*", "FLAGS", "$(id)`id`*"),
        ("kubesolo.toram=no", "TORAM", "no"),
        ("kubesolo.slot=B", "SLOT", "B"),
        ("kubesolo.edge-id=abc", "EDGE_ID", "abc"),
        ("kubesolo.edge-key=a=b", "EDGE_KEY", "a=b"),
        ("kubesolo.data=/dev/a kubesolo.data=/dev/b", "DATA", "/dev/b"),
    ],
)
def test_parameter_becomes_a_variable(root: FakeRoot, parameter: str, name: str, value: str) -> None:
    log = parse(root, parameter)
    assert "WARN" not in log
    assert setting(root, name) == value


def test_defaults(root: FakeRoot) -> None:
    parse(root, "")
    assert setting(root, "DATA") == "LABEL=KSOLODATA"
    assert setting(root, "CLOUDINIT") == "/mnt/data/etc-kubesolo/cloud-init.yaml"
    assert [setting(root, name) for name in ("DEBUG", "SHELL", "NOPERSIST", "FLAGS")] == [""] * 4


@pytest.mark.parametrize(
    ("parameter", "warning"),
    [
        ("kubesolo.dta=/dev/vda", "unknown boot parameter kubesolo.dta"),
        ("kubesolo.toram=maybe", "kubesolo.toram=maybe: must be yes or no"),
        ("kubesolo.slot=C", "kubesolo.slot=C: must be A or B"),
        ("kubesolo.data=", "kubesolo.data=: has no value"),
    ],
)
def test_wrong_parameter_is_warned_about(root: FakeRoot, parameter: str, warning: str) -> None:
    assert warning in parse(root, parameter)
    assert setting(root, "DATA") == "LABEL=KSOLODATA"


def test_secrets_stay_out_of_the_log(root: FakeRoot) -> None:
    log = parse(root, "kubesolo.edge-key=SECRET kubesolo.edge-kye=SECRET")
    assert "SECRET" not in log
    assert (root.path / "run/kubesolo/settings").stat().st_mode & 0o077 == 0


def test_devices_that_devtmpfs_lacks_are_links_made_once(root: FakeRoot) -> None:
    root.write("sys/fs/cgroup/cgroup.subtree_control", "")
    for _ in range(2):
        result = root.stage("00-early-mount")
        assert result.returncode == 0, result.stderr
    links = {name: str((root.path / "dev" / name).readlink()) for name in ("fd", "stdin", "stdout", "stderr")}
    assert links == {
        "fd": "/proc/self/fd",
        "stdin": "/proc/self/fd/0",
        "stdout": "/proc/self/fd/1",
        "stderr": "/proc/self/fd/2",
    }
