"""The installer's choice of a disk: what it says of each, and what it refuses with one sentence."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.device.fakeroot import FakeRoot

SOURCE = (
    '. "$ROOT/usr/lib/kubesolo-os/functions.sh"\nINSTALL=$SHARE/install\n. "$INSTALL/disks.sh"\nlist_disks\n'
)
GB = 1_000_000_000


@pytest.fixture
def machine(root: FakeRoot) -> FakeRoot:
    """An empty disk, one with partitions, a small one, a stick, and the CD that was started from."""
    disk(root, "vda", 8 * GB)
    disk(root, "vdb", 8 * GB, partitions={"vdb1": "KSOLOEFI", "vdb2": "KSOLOA"})
    disk(root, "vdc", 2 * GB)
    disk(root, "sda", 16 * GB, removable=True)
    disk(root, "sr0", GB)
    root.write("run/kubesolo/medium", "removable sr0\n")
    return root


def disk(
    root: FakeRoot, name: str, size: int, partitions: dict[str, str] | None = None, removable: bool = False
) -> Path:
    tree = root.path / "sys/devices" / name
    root.write(f"sys/devices/{name}/size", f"{size // 512}\n")
    root.write(f"sys/devices/{name}/removable", f"{int(removable)}\n")
    root.write(f"sys/devices/{name}/device/model", f"Model of {name}\n")
    (root.path / "sys/class/block" / name).symlink_to(tree)
    for number, (part, label) in enumerate((partitions or {}).items(), 1):
        root.write(f"sys/devices/{name}/{part}/partition", f"{number}\n")
        root.write(f"sys/devices/{name}/{part}/size", "2048\n")
        root.write(f"sys/devices/{name}/{part}/uevent", f"PARTNAME={label}\n")
        (root.path / "sys/class/block" / part).symlink_to(tree / part)
    path = root.path / "dev" / name
    path.touch()
    os.truncate(path, size)
    return path


def ask(root: FakeRoot, text: str) -> str:
    result = root.shell(f"{SOURCE}{text}")
    assert result.stderr == ""
    return result.stdout.strip()


def refusal(root: FakeRoot, name: str, force: str = "") -> str:
    return ask(root, f'KUBESOLO_INSTALL_FORCE={force}; refused {name} && echo "$WHY" || echo taken')


def test_every_disk_is_described(machine: FakeRoot) -> None:
    described = ask(
        machine, 'for name in $DISKS; do describe "$name"; echo "$DESCRIPTION"; done'
    ).splitlines()
    assert described == [
        "/dev/sda  Model of sda, 16.0 GB: empty",
        "/dev/vda  Model of vda, 8.0 GB: empty",
        "/dev/vdb  Model of vdb, 8.0 GB: vdb1 KSOLOEFI, vdb2 KSOLOA",
        "/dev/vdc  Model of vdc, 2.0 GB: empty",
    ]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("vda", "taken"),
        (
            "vdb",
            "/dev/vdb holds data (vdb1 KSOLOEFI, vdb2 KSOLOA): with kubesolo.install-force=yes it is over",
        ),
        ("vdb1", "/dev/vdb1 is a partition; the whole disk is /dev/vdb"),
        ("vdc", "/dev/vdc has 2.0 GB, 1.8 GB less than the system needs"),
        ("sr0", "/dev/sr0 is no disk of this machine (disks: sda vda vdb vdc)"),
        ("vdx", "/dev/vdx is no disk of this machine"),
    ],
)
def test_one_sentence_says_why_a_disk_is_refused(machine: FakeRoot, name: str, said: str) -> None:
    assert refusal(machine, name).startswith(said)


def test_the_medium_is_refused_even_by_force(machine: FakeRoot) -> None:
    machine.write("run/kubesolo/medium", "removable sda\n")
    assert refusal(machine, "sda", "yes") == "/dev/sda is what this system was started from"
    assert refusal(machine, "vdb", "yes") == "taken"


def test_data_without_partitions_counts_too(machine: FakeRoot) -> None:
    with (machine.path / "dev/vda").open("r+b") as stream:
        stream.seek(1_000_000)
        stream.write(b"x")
    assert refusal(machine, "vda").startswith("/dev/vda holds data (data without partitions)")


def test_a_write_protected_disk_is_refused(machine: FakeRoot) -> None:
    machine.write("sys/devices/vda/ro", "1\n")
    assert refusal(machine, "vda", "yes") == "/dev/vda is write-protected"


def test_auto_means_the_only_fixed_disk_that_is_empty(machine: FakeRoot) -> None:
    assert ask(machine, 'find_targets; echo "$TARGETS"') == "vda"
    disk(machine, "vdd", 8 * GB)
    assert ask(machine, 'list_disks; find_targets; echo "$TARGETS"') == "vda vdd"


def test_without_the_parameter_the_stage_does_nothing(machine: FakeRoot) -> None:
    result = machine.stage("12-install")
    assert result.returncode == 0
    assert machine.calls == []


def chosen(root: FakeRoot) -> str:
    """The configuration that would be copied."""
    source = (
        SOURCE + '. "$INSTALL/write.sh"\nmkdir -p "$SOURCE/boot"\nchoose_configuration\necho "$CONFIGURATION"'
    )
    result = root.shell(source)
    return result.stdout.strip().removeprefix(str(root.path)) + result.stderr


def test_configuration_of_a_labelled_stick_goes_before_that_of_the_medium(machine: FakeRoot) -> None:
    assert chosen(machine) == ""
    machine.write("run/kubesolo/install/medium/boot/cloud-init.yaml", "hostname: medium\n")
    assert chosen(machine) == "/run/kubesolo/install/medium/boot/cloud-init.yaml"
    machine.write("fakes/blkid", 'blkid() { echo "$ROOT/dev/sda: LABEL=\\"KSOLOCONF\\""; }\n')
    machine.fake("mount", "return 1")
    assert "[WARN]" in chosen(machine)
    machine.fake("mount", 'for point; do :; done; echo "hostname: stick" >"$point/cloud-init.yaml"')
    assert chosen(machine) == "/run/kubesolo/stick/cloud-init.yaml"


@pytest.mark.parametrize(
    ("force", "slots", "loader", "said"),
    [
        ("yes", ("other", "this"), "this", "this very system is on /dev/vdb already"),
        ("yes", ("this", "other"), "this", "this very system is on /dev/vdb already"),
        ("yes", ("this", "this"), None, ""),
        ("yes", ("other", "other"), "this", ""),
        ("yes", (None, None), None, ""),
        ("again", ("this", "this"), "this", ""),
        ("", ("this", "this"), "this", ""),
    ],
)
def test_a_machine_that_goes_on_starting_from_the_medium_does_not_install_for_ever(
    machine: FakeRoot, force: str, slots: tuple[str | None, ...], loader: str | None, said: str
) -> None:
    machine.write("run/kubesolo/install/esp/EFI/BOOT/BOOTX64.EFI", "this")
    if loader:
        machine.write("slots/vdb1/EFI/BOOT/BOOTX64.EFI", loader)
    for name in ("vmlinuz", "kubesolo-os.gz", "root.squashfs"):
        machine.write(f"run/kubesolo/install/medium/boot/{name}", "this")
        for number, content in zip((2, 3), slots, strict=True):
            if content:
                machine.write(f"slots/vdb{number}/{name}", content)
    machine.fake("mount", '[ -d "$ROOT/slots/${5##*/}" ] && cp -R "$ROOT/slots/${5##*/}"/* "$6/"')
    machine.fake("umount", 'rm -rf "$1"/*')
    source = (
        f'. "$INSTALL/write.sh"\nmkdir -p "$PLACE"\nTARGET=vdb KUBESOLO_INSTALL_FORCE={force}\nrefuse_again\n'
    )
    result = machine.shell(f"{SOURCE}{source}refuse_again")
    assert said in result.stderr
    assert (result.returncode != 0) == bool(said)
