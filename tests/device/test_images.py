"""The medium: what it is taken for, and the checks of its root images."""

from __future__ import annotations

import pytest

from tests.device.fakeroot import FakeRoot

LIBRARY = """
set -eu
. "$ROOT/run/kubesolo-init/lib/stage.sh"
. "$INIT/lib/images.sh"
ROOT_DEVICE=
"""
KIND = """
MEDIUM_DEVICE=$1 MEDIUM_TYPE=$2
classify_medium
medium_types "$1"
echo "$MEDIUM_KIND: $types"
"""
CHECKS = """
wait() { echo "wait $1"; [ "$1" != 2 ]; }
checks='1 2 3'
end_checks || echo damaged
drop_images
"""
ALL = "iso9660 ext4 vfat"


@pytest.mark.parametrize(
    ("device", "name", "removable", "file_system", "said"),
    [
        ("sda1", "", "0", "ext4", "disk: iso9660"),
        ("sda1", "", "1", "ext4", f"removable: {ALL}"),
        ("sda1", "KSOLOA", "1", "ext4", "disk: iso9660"),
        ("sda1", "KSOLOB", "0", "ext4", "disk: iso9660"),
        ("sda1", "KSOLODATA", "1", "ext4", f"removable: {ALL}"),
        ("sda1", "", "0", "iso9660", "removable: iso9660"),
        ("sr0", "", "1", "iso9660", "removable: iso9660"),
    ],
)
def test_medium_is_kept_or_carried(
    root: FakeRoot, device: str, name: str, removable: str, file_system: str, said: str
) -> None:
    root.block_device(device)
    root.write(f"sys/class/block/{device}/uevent", f"PARTNAME={name}\n")
    root.write(f"sys/class/block/{device}/removable", f"{removable}\n")
    result = root.shell(LIBRARY + KIND, device, file_system)
    assert result.stdout.strip() == said, result.stderr


def test_every_check_is_waited_for_once(root: FakeRoot) -> None:
    result = root.shell(LIBRARY + CHECKS)
    assert result.stdout.splitlines() == ["wait 1", "wait 2", "wait 3", "damaged"], result.stderr
