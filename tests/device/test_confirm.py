"""The health gate of a node with two slots, and the boot environment that it shares with GRUB."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from agent import grubenv
from tests.device.fakeroot import FakeRoot

ESP = "run/kubesolo/esp/grub"
TRIAL = {"active_slot": "B", "boot_counter": "2", "boot_success": "0"}
COMMITTED = {"active_slot": "B", "boot_counter": "3", "boot_success": "1"}


@pytest.fixture
def node(root: FakeRoot) -> FakeRoot:
    """A node that has started from slot B and is well; this process stands for the payload."""
    for number, name in ((1, "KSOLOEFI"), (3, "KSOLOB")):
        root.write(f"sys/devices/vda/vda{number}/partition", f"{number}\n")
        root.write(f"sys/devices/vda/vda{number}/uevent", f"PARTNAME={name}\n")
        (root.path / f"sys/class/block/vda{number}").symlink_to(root.path / f"sys/devices/vda/vda{number}")
    (root.path / "sys/class/block/vda").symlink_to(root.path / "sys/devices/vda")
    root.write("run/kubesolo/medium", "disk vda3\n")
    root.write("run/kubesolo/data", "disk /dev/vda4\n")
    root.write("run/kubesolo/boot.log", "")
    root.be_well()
    environment(root, TRIAL)
    write(root, "grubenv.good", grubenv.render({"good_slot": "A"}))
    root.write("usr/lib/kubesolo-os/functions.sh", root.read("usr/lib/kubesolo-os/functions.sh") + DOZE)
    return root


# The real one would take its time.
DOZE = '\ndoze_open() { :; }\ndoze() { sleep "$1"; }\n'


def write(root: FakeRoot, name: str, content: bytes) -> None:
    path = root.path / ESP / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def environment(root: FakeRoot, variables: dict[str, str]) -> None:
    write(root, "grubenv", grubenv.render(variables))


def state(root: FakeRoot, name: str = "grubenv") -> dict[str, str]:
    return grubenv.read(root.path / ESP / name)


def gate(root: FakeRoot) -> subprocess.CompletedProcess[str]:
    return root.script("confirm-boot")


def log(root: FakeRoot) -> str:
    return root.read("run/kubesolo/boot.log")


def test_a_ready_node_confirms_its_slot_in_both_places(node: FakeRoot) -> None:
    environment(node, {**TRIAL, "fallback_from": "A", "fallback_seen": "0", "later": "a b"})
    gate(node)
    expected = {**COMMITTED, "fallback_from": "A", "fallback_seen": "1", "later": "a b"}
    assert state(node) == expected, log(node)
    assert state(node, "grubenv.good") == {"good_slot": "B"}
    assert "boot-confirmed" in node.read("run/kubesolo/milestones")
    assert node.called("umount") == ["/run/kubesolo/esp"] * 2


def test_nothing_is_written_when_nothing_has_to_change(node: FakeRoot) -> None:
    environment(node, COMMITTED)
    write(node, "grubenv.good", grubenv.render({"good_slot": "B"}))
    files = [node.path / ESP / name for name in ("grubenv", "grubenv.good")]
    before = [path.stat().st_ctime_ns for path in files]
    gate(node)
    assert [path.stat().st_ctime_ns for path in files] == before


@pytest.mark.parametrize(
    "block",
    [
        b"",
        b"\0" * 1024,
        b"x" * 1024,
        grubenv.SIGNATURE.ljust(500, b"#"),
        grubenv.render({"active_slot": "C"}),
    ],
)
def test_a_damaged_environment_is_made_anew(node: FakeRoot, block: bytes) -> None:
    write(node, "grubenv", block)
    gate(node)
    assert state(node) == COMMITTED
    assert "damaged" in log(node)


def test_a_slot_started_by_hand_does_not_become_the_active_one(node: FakeRoot) -> None:
    environment(node, {**COMMITTED, "active_slot": "A"})
    gate(node)
    assert state(node) == {**COMMITTED, "active_slot": "A"}
    assert state(node, "grubenv.good") == {"good_slot": "A"}


@pytest.mark.parametrize("slot", ["A", "B"])
def test_a_block_that_is_torn_in_the_middle_is_mended(node: FakeRoot, slot: str) -> None:
    variables = {**TRIAL, "active_slot": slot}
    write(node, "grubenv", grubenv.render(variables)[:512] + bytes(512))
    gate(node)
    assert (node.path / ESP / "grubenv").read_bytes()[512:] == b"#" * 512
    assert state(node) == (COMMITTED if slot == "B" else variables)


def not_ready(root: FakeRoot) -> None:
    root.write("run/kubesolo/payload.health", "999999 the API server is not ready\n")


def test_a_trial_that_is_not_ready_by_the_deadline_starts_over_and_says_why(node: FakeRoot) -> None:
    not_ready(node)
    gate(node)
    assert node.called("reboot") == [""]
    assert float(node.read("proc/uptime").split()[0]) >= 600
    given_up = {"fallback_from": "B", "fallback_reason": "not-healthy", "fallback_seen": "0"}
    assert state(node) == {"active_slot": "A", "boot_counter": "2", "boot_success": "1", **given_up}
    assert "the API server is not ready" in node.read(f"{ESP}/failure.txt")


def test_a_confirmed_slot_that_is_not_ready_is_left_to_grub(node: FakeRoot) -> None:
    environment(node, {**TRIAL, "boot_success": "1", "boot_counter": "2"})
    not_ready(node)
    gate(node)
    assert node.called("reboot") == [""]
    assert state(node) == {**TRIAL, "boot_success": "1", "boot_counter": "2"}


def test_an_earlier_fallback_is_forgotten_when_a_trial_is_given_up(node: FakeRoot) -> None:
    environment(node, {**TRIAL, "trial": "0.2.0", "fallback_from": "A", "fallback_reason": "no-kernel"})
    not_ready(node)
    gate(node)
    found = state(node)
    assert (found["trial"], found["fallback_from"], found["fallback_reason"]) == ("0.2.0", "B", "not-healthy")


def test_the_deadline_is_configurable(node: FakeRoot) -> None:
    not_ready(node)
    node.write("etc/kubesolo/update.conf", "# seconds\nauto-rollback-after = 200\n")
    gate(node)
    assert 200 <= float(node.read("proc/uptime").split()[0]) < 300


def test_a_node_stays_up_when_both_slots_have_been_tried(node: FakeRoot) -> None:
    """The updater is told, and what becomes well after all is confirmed."""
    not_ready(node)
    environment(node, {**COMMITTED, "boot_counter": "2", "fallback_from": "A", "fallback_seen": "0"})
    node.write("mnt/data/update/state.json", '{"phase": "activated", "from": "0.1.0"}')
    well = 'kubesolo-update() { echo "999999 ok" >"$ROOT/run/kubesolo/payload.health"; }\n'
    node.write("fakes/updater", well)
    gate(node)
    assert node.called("reboot") == []
    assert "both slots have been tried" in log(node)
    assert {name: state(node)[name] for name in COMMITTED} == COMMITTED


def test_cluster_dns_is_not_what_a_slot_is_judged_by(node: FakeRoot) -> None:
    node.write("run/kubesolo/payload.health", "100 cluster DNS does not answer\n")
    gate(node)
    assert state(node) == COMMITTED


def test_a_data_partition_that_takes_no_writes_confirms_nothing(node: FakeRoot, tmp_path: Path) -> None:
    node.write("proc/mounts", "/dev/vda4 /mnt/data ext4 ro,noatime 0 0\n")
    gate(node)
    assert state(node)["fallback_from"] == "B"


def test_of_a_full_environment_what_decides_is_kept(node: FakeRoot) -> None:
    text = grubenv.render(TRIAL).rstrip(b"#") + b"note=" + b"x" * 440 + b"\n"
    write(node, "grubenv", text.ljust(1024, b"#"))
    gate(node)
    assert state(node) == COMMITTED
    assert "is full" in log(node)


def test_other_media_have_nothing_to_confirm(node: FakeRoot) -> None:
    node.write("run/kubesolo/medium", "removable sr0\n")
    assert gate(node).returncode == 0
    assert state(node) == TRIAL


def healthy(root: FakeRoot) -> list[str]:
    """How the closer look was started."""
    return [call for call in root.called("timeout") if "agent.update.health" in call]


def test_a_trial_is_looked_at_closely_with_the_settings_of_updates(node: FakeRoot) -> None:
    node.write("run/kubesolo/cloud-init/update.conf", "auto-rollback-after=900\nprobe-url=http://a/?b=c\n")
    node.write("etc/kubesolo/update.conf", "# mine\nauto-rollback-after = 300\nca = /etc/kubesolo/ca.pem\n")
    gate(node)
    (call,) = healthy(node)
    assert call.endswith("python3 -I -S -m agent.update.health 300 http://a/?b=c /etc/kubesolo/ca.pem")
    assert call.startswith("-s KILL 3"), "it ends even when what it asks keeps it"
    assert state(node) == COMMITTED


def test_a_trial_is_looked_at_from_when_the_node_is_ready(node: FakeRoot) -> None:
    """The 30 s of its pods run while the API server still has something to do."""
    not_ready(node)
    node.write("run/kubesolo/milestones", "payload-exec 5.00\nnode-ready 9.00\n")
    gate(node)
    assert healthy(node)
    assert state(node) == COMMITTED


def test_a_committed_slot_starts_no_python(node: FakeRoot) -> None:
    environment(node, COMMITTED)
    gate(node)
    assert node.called("timeout") == node.called("python3") == []


def test_what_is_not_well_is_the_reason_that_is_kept(node: FakeRoot) -> None:
    node.fake("timeout", "sleep 300\nprintf 'pod coredns-1 is Pending\\nthe disk is full\\n'\nreturn 1")
    gate(node)
    assert state(node)["fallback_from"] == "B"
    assert node.called("reboot") == [""]
    assert "pod coredns-1 is Pending;the disk is full" in node.read(f"{ESP}/failure.txt")
    assert len(healthy(node)) == 2, "until the deadline"


def test_a_look_that_could_not_be_made_is_a_reason_too(node: FakeRoot) -> None:
    node.fake("timeout", "sleep 300\nreturn 127")
    gate(node)
    assert "the health check could not be made (status 127)" in node.read(f"{ESP}/failure.txt")


def test_without_a_deadline_the_look_has_none_either(node: FakeRoot) -> None:
    node.write("etc/kubesolo/update.conf", "auto-rollback-after=0\n")
    gate(node)
    assert node.called("timeout") == []
    assert node.called("python3") == ["-I -S -m agent.update.health 0  "]


def test_the_environment_can_be_read_without_its_partition(node: FakeRoot) -> None:
    seen = 'cp "$STATE/bootenv" "$ROOT/before"'
    node.fake("timeout", seen)
    gate(node)
    assert node.read("before") == "active_slot=B\nboot_counter=2\nboot_success=0\n"
    assert node.read("run/kubesolo/bootenv") == "active_slot=B\nboot_counter=3\nboot_success=1\n"


def test_pods_that_were_kept_away_come_back(node: FakeRoot) -> None:
    environment(node, COMMITTED)
    node.write("mnt/data/update/cordoned", "")
    gate(node)
    assert node.called("python3") == ["-I -S -m agent.update.drain uncordon"]


@pytest.mark.parametrize(
    ("phase", "told"),
    [("checking", 2), ("downloading", 2), ("activated", 2), ("verifying", 2), ("success", 0)],
)
def test_the_updater_is_told_when_it_waits_for_it(node: FakeRoot, phase: str, told: int) -> None:
    node.write("mnt/data/update/state.json", f'{{"phase": "{phase}", "from": "0.1.0"}}')
    node.write("fakes/updater", 'kubesolo-update() { echo "kubesolo-update $*" >>"$ROOT/calls"; }\n')
    gate(node)
    assert node.called("kubesolo-update") == ["settle"] * told, "when its trial begins, and when it ends"


def test_what_kubernetes_was_not_told_is_told_once_the_node_is_well(node: FakeRoot) -> None:
    node.write("mnt/data/update/state.json", '{"phase": "rolled_back", "from": "0.1.0"}')
    node.write("mnt/data/update/untold", "{}")
    environment(node, COMMITTED)
    node.write("fakes/updater", 'kubesolo-update() { echo "kubesolo-update $*" >>"$ROOT/calls"; }\n')
    gate(node)
    assert node.called("kubesolo-update") == ["settle"]


def test_a_confirmed_version_leaves_no_way_back_for_the_database(node: FakeRoot) -> None:
    node.write("usr/lib/os-release", 'VERSION_ID="0.2.0"\n')
    node.write("mnt/data/update/snapshots/0.1.0/db/state.db", "")
    gate(node)
    assert node.read("mnt/data/update/snapshots/0.1.0/confirmed") == "0.2.0\n"


def test_a_slot_that_is_nobody_s_trial_confirms_no_database(node: FakeRoot) -> None:
    environment(node, {**COMMITTED, "active_slot": "A"})
    node.write("mnt/data/update/snapshots/0.1.0/db/state.db", "")
    gate(node)
    assert not (node.path / "mnt/data/update/snapshots/0.1.0/confirmed").exists()
