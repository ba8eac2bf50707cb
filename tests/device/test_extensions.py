"""Stage 75: extensions of the configuration, checked before they are mounted."""

from __future__ import annotations

import hashlib

from tests.device.fakeroot import FakeRoot
from tests.device.test_system import done

FOLDER = "mnt/data/extensions"
LIST = "run/kubesolo/cloud-init/extensions"


def extension(root: FakeRoot, name: str) -> str:
    """Write one; returns its line in the list."""
    path = root.write(f"{FOLDER}/{name}.squashfs", f"hsqs {name}")
    return f"{hashlib.sha256(path.read_bytes()).hexdigest()} /{FOLDER}/{name}.squashfs\n"


def test_those_of_the_list_are_merged_below_what_the_operator_put_there(root: FakeRoot) -> None:
    root.write(LIST, extension(root, "tools") + extension(root, "agent"))
    assert "WARN" not in done(root, "75-extensions")
    *images, merged = root.called("mount")
    assert [call.rpartition(" ")[2] for call in images] == [
        "/run/kubesolo/extensions/tools",
        "/run/kubesolo/extensions/agent",
    ]
    lower = "/mnt/data/usr-local:/run/kubesolo/extensions/tools:/run/kubesolo/extensions/agent"
    assert merged == f"-t overlay -o ro,nosuid,nodev,lowerdir={lower} extensions /usr/local"


def test_a_broken_one_is_skipped_and_said(root: FakeRoot) -> None:
    root.write(
        LIST, extension(root, "good") + extension(root, "bad") + f"{'0' * 64} /{FOLDER}/gone.squashfs\n"
    )
    root.write(f"{FOLDER}/bad.squashfs", "hsqs baD")
    log = done(root, "75-extensions")
    assert "bad.squashfs is not the one of the configuration" in log
    assert "gone.squashfs is not there: skipped" in log
    assert "extensions/good extensions /usr/local" in root.called("mount")[-1]


def test_without_a_list_nothing_is_done(root: FakeRoot) -> None:
    extension(root, "unlisted")
    done(root, "75-extensions")
    assert root.called("mount") == []
