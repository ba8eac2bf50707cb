from collections.abc import Collection
from pathlib import Path

import pytest

from tasks.kernel import REQUIREMENTS
from tasks.lib.errors import BuildError
from tasks.lib.kernel.audit import Report, audit, parse_config, read_requirements

CONFIG = """
CONFIG_INET=y
CONFIG_VETH=m
CONFIG_FAT=m
CONFIG_PATH="/sbin/modprobe"
# CONFIG_XFS_FS is not set
CONFIG_TINY=n
"""


def run(folder: Path, text: str, image: Collection[str] = (), initramfs: Collection[str] = ()) -> Report:
    path = folder / "audit.toml"
    path.write_text(text)
    return audit(parse_config(CONFIG), read_requirements(path), image, initramfs)


def test_values_of_a_configuration() -> None:
    config = parse_config(CONFIG)
    assert config["VETH"] == "m"
    assert config["PATH"] == '"/sbin/modprobe"'
    assert "XFS_FS" not in config


def test_a_configuration_without_options_is_refused() -> None:
    with pytest.raises(BuildError, match="sets no option"):
        parse_config("<html>not found</html>")


def test_what_is_there_passes(tmp_path: Path) -> None:
    report = run(tmp_path, '[mandatory]\nINET = true\nVETH = "veth"\n', image={"veth"})
    assert report.failures() == []
    assert report.table().split() == ["mandatory", "INET", "y", "ok", "mandatory", "VETH", "m", "ok"]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("XFS_FS = true", "CONFIG_XFS_FS: not set"),
        ("TINY = true", "CONFIG_TINY: not set"),
        ("ABSENT = true", "CONFIG_ABSENT: not set"),
        ('ABSENT = "absent"', "CONFIG_ABSENT: not set"),
        ("VETH = true", "CONFIG_VETH: is =m, but must be built in"),
        ('VETH = "veth"', "CONFIG_VETH: is =m, but the image does not have veth.ko"),
        ('FAT = ["fat", "vfat"]', "CONFIG_FAT: is =m, but the image does not have vfat.ko"),
    ],
)
def test_what_is_missing_fails(tmp_path: Path, line: str, problem: str) -> None:
    [failure] = run(tmp_path, f"[mandatory]\nINET = true\n{line}\n", image={"fat"}).failures()
    assert failure.startswith(problem)


def test_recommended_options_only_warn(tmp_path: Path) -> None:
    report = run(tmp_path, "[recommended]\nXFS_FS = true\n")
    assert report.failures() == []
    assert report.warnings() == ["recommended, but not there: CONFIG_XFS_FS: not set"]


def test_modules_of_the_initramfs_must_be_in_the_initramfs(tmp_path: Path) -> None:
    text = '[initramfs]\nFAT = "fat"\n'
    [failure] = run(tmp_path, text, image={"fat"}).failures()
    assert failure == "CONFIG_FAT: is =m, but the initramfs does not have fat.ko"
    assert run(tmp_path, text, initramfs={"fat"}).failures() == []


def test_conditions_add_requirements(tmp_path: Path) -> None:
    path = tmp_path / "audit.toml"
    path.write_text("[mandatory]\nINET = true\n[when.source]\nXFS_FS = true\n[when.other]\nNO = true\n")
    assert [item.option for item in read_requirements(path)] == ["INET"]
    found = read_requirements(path, ("source", "unheard of"))
    assert [(item.option, item.level) for item in found] == [("INET", "mandatory"), ("XFS_FS", "mandatory")]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[mandatry]\nINET = true", r"unknown section \[mandatry\]"),
        ("[mandatory]\nINET = false", "mandatory.INET: False"),
        ("[mandatory]\nINET = 1", "mandatory.INET: 1"),
        ("[mandatory]\nINET = ['a', 2]", "mandatory.INET"),
        ("[mandatory]\ninet-4 = true", "mandatory.inet-4"),
        ("mandatory = 1", "mandatory is not a section"),
        ("[mandatory", "is not valid TOML"),
    ],
)
def test_bad_requirements_are_named(tmp_path: Path, text: str, named: str) -> None:
    path = tmp_path / "audit.toml"
    path.write_text(text)
    with pytest.raises(BuildError, match=named):
        read_requirements(path)
    with pytest.raises(BuildError, match="can not be read"):
        read_requirements(tmp_path / "gone.toml")


def test_the_products_requirements_hold_what_the_specification_demands() -> None:
    mandatory = """CGROUPS CGROUP_CPUACCT CGROUP_DEVICE CGROUP_FREEZER CGROUP_SCHED CGROUP_PIDS MEMCG
        CGROUP_BPF CFS_BANDWIDTH DEVTMPFS NAMESPACES NET_NS PID_NS USER_NS UTS_NS IPC_NS OVERLAY_FS SQUASHFS
        BLK_DEV_LOOP BRIDGE BRIDGE_NETFILTER NETFILTER NF_NAT NF_TABLES VETH VXLAN NFT_MASQ NFT_NAT NFT_NUMGEN
        NFT_CT NFT_FIB NFT_REJECT NFT_LIMIT NFT_REDIR NFT_LOG"""
    recommended = "BPF_SYSCALL SECCOMP CRYPTO_SHA256 AUDIT SECURITY_APPARMOR"
    levels = {(item.option, item.level) for item in read_requirements(REQUIREMENTS)}
    assert {(option, "mandatory") for option in mandatory.split()} <= levels
    assert {(option, "recommended") for option in recommended.split()} <= levels
    source = {(item.option, item.level) for item in read_requirements(REQUIREMENTS, ("source",))}
    assert {(option, "mandatory") for option in ["DEVTMPFS_MOUNT", *recommended.split()]} <= source
