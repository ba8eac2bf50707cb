"""The medium with archives of images, and what the consoles say of their import."""

from __future__ import annotations

import pytest

from tests.device.fakeroot import FakeRoot
from tests.device.test_health import wait_for
from tests.device.test_scripts import background


@pytest.fixture
def medium(root: FakeRoot) -> FakeRoot:
    root.block_device("sdb1")
    root.write("fakes/blkid", 'blkid() { echo "$ROOT/dev/sdb1: LABEL=\\"KSOLOIMAGES\\""; }\n')
    return root


def test_a_labelled_medium_is_mounted_read_only_and_named(medium: FakeRoot) -> None:
    result = medium.script("mount-images")
    assert result.stdout == f"{medium.path}/run/kubesolo/images-stick\n"
    assert medium.called("mount") == ["-o ro /dev/sdb1 /run/kubesolo/images-stick"]


def test_another_label_is_left_alone(medium: FakeRoot) -> None:
    medium.write("fakes/blkid", 'blkid() { echo "$ROOT/dev/sdb1: LABEL=\\"PHOTOS\\""; }\n')
    result = medium.script("mount-images")
    assert (result.returncode, result.stdout, medium.called("mount")) == (0, "", [])


def test_a_medium_that_can_not_be_mounted_is_said(medium: FakeRoot) -> None:
    medium.fake("mount", "return 1")
    result = medium.script("mount-images")
    assert result.returncode == 1
    assert "/dev/sdb1 (KSOLOIMAGES) can not be read" in result.stderr


def test_consoles_say_what_is_imported_and_what_is_not(root: FakeRoot) -> None:
    root.be_well()
    root.write("sys/class/tty/console/active", "ttyS0\n")
    root.write("dev/ttyS0", "")
    root.write("run/kubesolo/images-progress", "imports big.tar: 43 % of 812 MB\n")
    with background(root, "console-state", STATE_SECONDS="0.1"):
        wait_for(root.path / "dev/ttyS0", "s: imports big.tar: 43 % of 812 MB\n")
        (root.path / "run/kubesolo/images-progress").unlink()
        root.write("run/kubesolo/problems/images", "images: bad.tar skipped: damaged\nimages: another\n")
        text = wait_for(root.path / "dev/ttyS0", "s: images: bad.tar skipped: damaged\n")
    assert text.count("big.tar") == 1
