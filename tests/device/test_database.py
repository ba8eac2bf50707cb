"""The database across versions: kept on the way forward, put back on the way back, whole after every cut."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.device.fakeroot import FakeRoot, complete

DB = "mnt/data/kubesolo/db"
SNAPSHOTS = "mnt/data/update/snapshots"
# What the script does to the disk, step by step; a cut is before the step of that number. What a step that
# has returned has done stays: flushing is not tested here.
CUT = """
step() {
    steps=0
    read -r steps 2>/dev/null <"$ROOT/steps" || :
    steps=$((steps + 1))
    echo "$steps" >"$ROOT/steps"
    [ "$steps" != "${CUT_AT:-0}" ] || kill -KILL $$
}
mv() { step; busybox_do mv "$@"; }
rm() { step; busybox_do rm "$@"; }
dd() { step; busybox_do dd "$@"; }
mkdir() { step; busybox_do mkdir "$@"; }
busybox_do() { "$BUSYBOX" "$@"; }
"""


@pytest.fixture
def node(root: FakeRoot) -> FakeRoot:
    """A node with slots and a cluster, as version 0.1.0 has left it."""
    root.write("sys/devices/vda/vda3/partition", "3\n")
    (root.path / "sys/class/block/vda3").symlink_to(root.path / "sys/devices/vda/vda3")
    (root.path / "sys/class/block/vda").symlink_to(root.path / "sys/devices/vda")
    root.write("run/kubesolo/medium", "disk vda3\n")
    root.write("run/kubesolo/data", "disk /dev/vda4\n")
    set_database(root, "one")
    root.write("mnt/data/kubesolo/.version", "0.1.0\n")
    return root


def set_database(root: FakeRoot, text: str) -> None:
    root.write(f"{DB}/state.db", f"{text}\n")
    root.write(f"{DB}/state.db-wal", f"{text}, newest\n")
    root.write(f"{DB}/state.db-shm", "index")


def boot(root: FakeRoot, version: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the stage as that version does."""
    shutil.rmtree(root.path / "run/kubesolo/problems", ignore_errors=True)
    (root.path / "run/kubesolo/database-restored").unlink(missing_ok=True)
    root.write("usr/lib/os-release", f'ID=kubesolo-os\nVERSION_ID="{version}"\n')
    text = 'set -eu\n. "$ROOT/run/kubesolo-init/stages/85-database.sh"'
    return root.shell(CUT + text, BUSYBOX=str(root.busybox), **environment)


def booted(root: FakeRoot, version: str) -> str:
    """The log of a boot that went on."""
    result = boot(root, version)
    assert result.returncode == 0, result.stderr
    assert complete("85-database") in result.stderr
    return result.stderr


def confirm(root: FakeRoot) -> None:
    text = '. "$ROOT/usr/lib/kubesolo-os/functions.sh"\n. "$SHARE/database.sh"\nconfirm_database'
    assert root.shell(text).returncode == 0


def problem(root: FakeRoot) -> str:
    path = root.path / "run/kubesolo/problems/database"
    return path.read_text() if path.exists() else ""


def last(root: FakeRoot) -> str:
    return root.read("mnt/data/kubesolo/.version").strip()


def test_the_same_version_changes_nothing(node: FakeRoot) -> None:
    booted(node, "0.1.0")
    assert not (node.path / "steps").exists()
    assert not (node.path / SNAPSHOTS).exists()


def test_a_newer_version_begins_with_a_snapshot(node: FakeRoot) -> None:
    booted(node, "0.2.0")
    assert node.read(f"{SNAPSHOTS}/0.1.0/db/state.db") == "one\n"
    assert node.read(f"{SNAPSHOTS}/0.1.0/db/state.db-wal") == "one, newest\n"
    assert not (node.path / f"{SNAPSHOTS}/0.1.0/db/state.db-shm").exists()
    assert node.read(f"{SNAPSHOTS}/0.1.0/about").startswith("0.2.0 20")
    assert (node.path / f"{SNAPSHOTS}/0.1.0").stat().st_mode & 0o077 == 0
    assert last(node) == "0.2.0"
    assert problem(node) == ""


def test_going_back_from_a_trial_puts_it_back_and_says_what_is_lost(node: FakeRoot) -> None:
    booted(node, "0.2.0")
    set_database(node, "two")
    log = booted(node, "0.1.0")
    assert node.read(f"{DB}/state.db") == "one\n"
    assert node.read("mnt/data/kubesolo/db.0.2.0/state.db") == "two\n"
    assert last(node) == "0.1.0"
    assert "as of 20" in problem(node)
    assert "everything written to the cluster since then is lost" in problem(node)
    assert problem(node).strip() in log
    assert not list((node.path / SNAPSHOTS).iterdir())


def test_a_confirmed_version_keeps_its_database(node: FakeRoot) -> None:
    booted(node, "0.2.0")
    confirm(node)
    set_database(node, "two")
    booted(node, "0.1.0")
    assert node.read(f"{DB}/state.db") == "two\n"
    assert "nothing is lost" in problem(node)
    assert last(node) == "0.1.0"


def test_what_was_set_aside_goes_with_a_later_confirmed_boot(node: FakeRoot) -> None:
    booted(node, "0.2.0")
    booted(node, "0.1.0")
    aside = node.path / "mnt/data/kubesolo/db.0.2.0"
    confirm(node)
    assert aside.exists(), "one can still look at it"
    booted(node, "0.1.0")
    confirm(node)
    assert not aside.exists()
    assert (node.path / DB).exists()


def test_only_the_newest_snapshot_is_kept(node: FakeRoot) -> None:
    booted(node, "0.2.0")
    confirm(node)
    booted(node, "0.3.0")
    assert [path.name for path in (node.path / SNAPSHOTS).iterdir()] == ["0.2.0"]


def test_the_snapshot_of_an_earlier_try_is_not_what_comes_back(node: FakeRoot) -> None:
    """The second time there is no room: what the first one has left would be weeks old."""
    booted(node, "0.2.0")
    node.write("mnt/data/kubesolo/.version", "0.1.0\n")
    set_database(node, "weeks later")
    node.write("usr/lib/kubesolo-os/database.sh", node.read("usr/lib/kubesolo-os/database.sh") + NO_ROOM)
    booted(node, "0.2.0")
    assert "no room for it" in problem(node)
    assert last(node) == "0.2.0"
    booted(node, "0.1.0")
    assert node.read(f"{DB}/state.db") == "weeks later\n"
    assert "no snapshot of its own" in problem(node)


NO_ROOM = "\nmeasure_space() { FREE=1 RESERVE_SIZE=1; }\n"


def test_a_disk_that_takes_no_copy_does_not_stop_the_boot(node: FakeRoot) -> None:
    node.write("usr/lib/kubesolo-os/database.sh", node.read("usr/lib/kubesolo-os/database.sh") + NO_COPY)
    booted(node, "0.2.0")
    assert "can not be written" in problem(node)
    assert not (node.path / f"{SNAPSHOTS}/0.1.0").exists()


NO_COPY = "\ncopy_database() { return 1; }\n"


def test_without_slots_nothing_is_put_back(node: FakeRoot) -> None:
    booted(node, "0.2.0")
    node.write("run/kubesolo/medium", "removable sr0\n")
    set_database(node, "two")
    booted(node, "0.1.0")
    assert node.read(f"{DB}/state.db") == "two\n"
    assert not (node.path / SNAPSHOTS).exists()


@pytest.mark.parametrize("content", ["", "../../x\n", "garbage\n"])
def test_a_version_that_is_none_makes_no_snapshot(node: FakeRoot, content: str) -> None:
    node.write("mnt/data/kubesolo/.version", content)
    booted(node, "0.2.0")
    assert last(node) == "0.2.0"
    assert not (node.path / SNAPSHOTS).exists()


def test_a_cluster_that_began_anew_does_not_become_the_old_one(node: FakeRoot) -> None:
    booted(node, "0.2.0")
    shutil.rmtree(node.path / "mnt/data/kubesolo")
    booted(node, "0.2.0")
    set_database(node, "new")
    booted(node, "0.1.0")
    assert node.read(f"{DB}/state.db") == "new\n"


def test_memory_remembers_no_version(node: FakeRoot) -> None:
    node.write("run/kubesolo/data", "memory\n")
    booted(node, "0.2.0")
    assert last(node) == "0.1.0"
    assert not (node.path / "steps").exists()


def test_a_first_boot_has_nothing_to_keep(node: FakeRoot) -> None:
    shutil.rmtree(node.path / DB)
    (node.path / "mnt/data/kubesolo/.version").unlink()
    booted(node, "0.1.0")
    assert last(node) == "0.1.0"


@pytest.mark.parametrize(
    ("one", "other", "newer"),
    [
        ("0.2.0", "0.1.9", True),
        ("0.10.0", "0.9.0", True),
        ("0.1.0", "0.1.0", False),
        ("1.0.0", "1.0.0-rc.1", True),
        ("1.0.0-rc.1", "1.0.0", False),
        ("1.0.0-rc.10", "1.0.0-rc.9", True),
        ("1.0.0-rc.1.1", "1.0.0-rc.1", True),
        ("1.0.0-beta", "1.0.0-alpha", True),
        ("1.0.0-alpha", "1.0.0-1", True),
        ("1.0.0+b", "1.0.0+a", False),
    ],
)
def test_order_of_versions(root: FakeRoot, one: str, other: str, newer: bool) -> None:
    text = '. "$ROOT/usr/lib/kubesolo-os/versions.sh"\nis_newer "$1" "$2"'
    assert (root.shell(text, one, other).returncode == 0) is newer


def contents(root: FakeRoot) -> dict[str, str]:
    """What decides: the version, the database and the snapshots."""
    base = root.path / "mnt/data"
    return {str(path.relative_to(base)): path.read_text() for path in base.rglob("*") if path.is_file()}


def cut_points(node: FakeRoot, version: str, keep: Path) -> list[int]:
    """The steps of a boot, counted on a copy."""
    shutil.copytree(node.path / "mnt/data", keep)
    (node.path / "steps").unlink(missing_ok=True)
    booted(node, version)
    count = int(node.read("steps"))
    rewind(node, keep)
    return list(range(1, count + 1))


def rewind(node: FakeRoot, keep: Path) -> None:
    shutil.rmtree(node.path / "mnt/data")
    shutil.copytree(keep, node.path / "mnt/data")
    (node.path / "steps").unlink(missing_ok=True)


def test_a_cut_on_the_way_forward_loses_neither_database_nor_snapshot(node: FakeRoot, tmp_path: Path) -> None:
    keep = tmp_path / "keep"
    points = cut_points(node, "0.2.0", keep)
    assert len(points) > 6
    for point in points:
        rewind(node, keep)
        assert boot(node, "0.2.0", CUT_AT=str(point)).returncode != 0, point
        assert node.read(f"{DB}/state.db") == "one\n"
        (node.path / "steps").unlink()
        booted(node, "0.2.0")
        assert node.read(f"{SNAPSHOTS}/0.1.0/db/state.db-wal") == "one, newest\n", point
        assert [path.name for path in (node.path / SNAPSHOTS).iterdir()] == ["0.1.0"], point


@pytest.mark.parametrize("then", ["0.1.0", "0.2.0"])
def test_a_cut_on_the_way_back_ends_with_a_whole_database(node: FakeRoot, tmp_path: Path, then: str) -> None:
    """Whichever version starts next: the older one has its own database, the newer one that or its own."""
    booted(node, "0.2.0")
    set_database(node, "two")
    keep = tmp_path / "keep"
    points = cut_points(node, "0.1.0", keep)
    assert len(points) > 5
    for point in points:
        rewind(node, keep)
        assert boot(node, "0.1.0", CUT_AT=str(point)).returncode != 0, point
        (node.path / "steps").unlink()
        booted(node, then)
        found = node.read(f"{DB}/state.db")
        assert node.read(f"{DB}/state.db-wal") == found.strip() + ", newest\n", point
        assert found == "one\n" if then == "0.1.0" else found in ("one\n", "two\n"), point
        assert last(node) == then, point
        assert not (node.path / SNAPSHOTS / "restoring").exists(), point
        assert any(text == "two\n" for name, text in contents(node).items() if name.endswith("state.db")), (
            point
        )
