"""What must survive a power cut or a full disk is written in that order; what grows is bounded."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.device.fakeroot import FakeRoot

LIBRARY = 'set -eu\n. "$ROOT/usr/lib/kubesolo-os/functions.sh"\n'
# Block count, free blocks, block size of the data partition.
ROOMY = 'printf "262144 200000 4096\\n"'
# What ext4 keeps for itself is free in the eyes of stat.
FULL = 'printf "262144 4300 4096\\n"'


def shell(root: FakeRoot, text: str, *args: str) -> subprocess.CompletedProcess[str]:
    result = root.shell(LIBRARY + text, *args)
    assert result.returncode == 0, result.stderr
    return result


def write(root: FakeRoot, text: str) -> str:
    return shell(root, 'write_durable "$DATA/name" "$1" || echo failed', text).stdout


def full_disk(root: FakeRoot, until: str = "false") -> None:
    """Writing through dd finds no space, as long as the shell condition `until` does not hold."""
    root.write("dd.sh", f'dd() {{ if {until}; then command dd "$@"; else return 1; fi; }}\n')
    root.write("fakes.sh", root.read("fakes.sh") + '. "$ROOT/dd.sh"\n')


def test_content_is_durable_before_the_name_and_the_name_before_the_return(root: FakeRoot) -> None:
    log = 'dd() { echo "dd $*" >>"$ROOT/calls"; command dd "$@"; }\n'
    log += 'mv() { echo "mv $*" >>"$ROOT/calls"; command mv "$@"; }\n'
    root.write("fakes.sh", root.read("fakes.sh") + log)
    write(root, "edge-1\n")
    assert root.read("mnt/data/name") == "edge-1\n"
    assert root.calls == [
        "dd of=/mnt/data/name.new conv=fsync",
        "mv -f /mnt/data/name.new /mnt/data/name",
        "sync /mnt/data",
    ]


def test_what_has_not_changed_is_not_written(root: FakeRoot) -> None:
    write(root, "edge-1\n")
    before = (root.path / "mnt/data/name").stat()
    write(root, "edge-1\n")
    assert (root.path / "mnt/data/name").stat() == before
    write(root, "edge-1\n\n")
    assert root.read("mnt/data/name") == "edge-1\n\n", "line ends count"
    write(root, "")
    assert root.read("mnt/data/name") == ""


def test_empty_file_of_a_cut_is_replaced(root: FakeRoot) -> None:
    root.write("mnt/data/name", "")
    write(root, "edge-1\n")
    assert root.read("mnt/data/name") == "edge-1\n"


def test_full_disk_empties_nothing(root: FakeRoot) -> None:
    root.write("mnt/data/name", "edge-1\n")
    full_disk(root)
    assert write(root, "edge-2\n") == "failed\n"
    assert root.read("mnt/data/name") == "edge-1\n"
    assert not (root.path / "mnt/data/name.new").exists()


def test_full_disk_takes_the_reserve_first(root: FakeRoot) -> None:
    root.write("mnt/data/.reserve", "x")
    root.write("mnt/data/name", "edge-1\n")
    full_disk(root, until='[ ! -e "$ROOT/mnt/data/.reserve" ]')
    assert write(root, "edge-2\n") == ""
    assert root.read("mnt/data/name") == "edge-2\n"


def test_name_servers_survive_a_full_disk(root: FakeRoot) -> None:
    root.write("mnt/data/resolv.conf", "nameserver 1.1.1.1\n")
    full_disk(root)
    shell(root, '. "$SHARE/network.sh"\nwrite_resolv_conf "" 9.9.9.9')
    assert root.read("run/kubesolo/etc/resolv.conf") == "nameserver 9.9.9.9\n"
    assert root.read("mnt/data/resolv.conf") == "nameserver 1.1.1.1\n"


def disk(root: FakeRoot, space: str) -> None:
    root.write("run/kubesolo/data", "disk /dev/vda\n")
    fakes = f'stat() {{ if [ "$1" = -f ]; then {space}; else command stat "$@"; fi; }}\n'
    fakes += 'fallocate() { echo "fallocate $*" >>"$ROOT/calls"; : >"$3"; }\n'
    root.write("fakes.sh", root.read("fakes.sh") + fakes)


def test_reserve_is_one_percent_between_16_and_64_mib(root: FakeRoot) -> None:
    for blocks, mib in ((131072, 16), (786432, 30), (4194304, 64)):
        disk(root, f'printf "{blocks} {blocks} 4096\\n"')
        shell(root, 'rm -f "$RESERVE"\nmake_reserve')
        size = int(root.called("fallocate")[-1].split()[1])
        assert size // 2**20 == mib


def test_no_reserve_where_little_is_free_or_in_memory(root: FakeRoot) -> None:
    disk(root, 'printf "262144 10000 4096\\n"')
    shell(root, "make_reserve")
    disk(root, ROOMY)
    root.write("run/kubesolo/data", "memory\n")
    shell(root, "make_reserve")
    assert not root.called("fallocate")


def look(root: FakeRoot) -> str:
    """One round of the service, which then sleeps for good."""
    text = '. "$ROOT/usr/lib/kubesolo-os/functions.sh"\ndoze() { exit 0; }\n'
    root.write("dev/ttyS0", "")
    root.write("sys/class/tty/console/active", "ttyS0\n")
    script = root.read("usr/lib/kubesolo-os/watch-space").replace('doze "$PAUSE"', "exit 0")
    result = root.shell(text + script)
    assert result.returncode == 0, result.stderr
    return root.read("dev/ttyS0")


def test_full_partition_is_said_on_the_console_and_its_reserve_comes_back(root: FakeRoot) -> None:
    disk(root, FULL)
    root.write("mnt/data/.reserve", "x")
    assert "the data partition is full: the reserve is given up" in look(root)
    assert not (root.path / "mnt/data/.reserve").exists()
    assert (root.path / "run/kubesolo/data-full").exists()
    assert look(root) == "", "said once"
    disk(root, ROOMY)
    assert "has room again" in look(root)
    assert (root.path / "mnt/data/.reserve").exists()
    assert not (root.path / "run/kubesolo/data-full").exists()


def test_reserve_that_the_payload_gave_up_is_said_until_there_is_room(root: FakeRoot) -> None:
    disk(root, 'printf "262144 8096 4096\\n"')
    assert "the data partition is full" in look(root)
    assert (root.path / "run/kubesolo/data-full").exists()
    disk(root, 'printf "262144 9096 4096\\n"')
    assert "has room again" in look(root)
    assert not (root.path / "run/kubesolo/data-full").exists()
    assert not (root.path / "mnt/data/.reserve").exists(), "four times as much has to be free"


def test_full_partition_without_a_reserve_is_said_too(root: FakeRoot) -> None:
    disk(root, FULL)
    assert "the data partition is full" in look(root)


def grow(root: FakeRoot, name: str, kib: int) -> Path:
    return root.write(name, "a line of a log\n" * (64 * kib))


def test_logs_are_bounded_wherever_they_are(root: FakeRoot) -> None:
    """The log of a DHCP client without a server grew by 1 MB a day, in memory."""
    names = {"run/kubesolo/dhcp.log": 300, "run/kubesolo/other.log": 300, "var/log/new.log": 9000}
    for name, kib in names.items():
        grow(root, name, kib)
    grow(root, "run/kubesolo/short.log", 10)
    look(root)
    for name, kib in names.items():
        assert (root.path / name).stat().st_size == 0
        assert (root.path / f"{name}.1").stat().st_size == kib * 1024
    assert (root.path / "run/kubesolo/short.log").stat().st_size == 10 * 1024
    grow(root, "run/kubesolo/dhcp.log", 257)
    look(root)
    assert sorted(path.name for path in (root.path / "run/kubesolo").glob("dhcp*")) == [
        "dhcp.log",
        "dhcp.log.1",
    ]


def test_list_of_milestones_keeps_the_first_of_each_name_and_the_newest(root: FakeRoot) -> None:
    starts = "".join(f"payload-exec {n}.00\nnode-ready {n}.50\n" for n in range(2000))
    root.write("run/kubesolo/milestones", f"stage-90-kubesolo 5.00\n{starts}")
    look(root)
    lines = root.read("run/kubesolo/milestones").splitlines()
    assert lines[:3] == ["stage-90-kubesolo 5.00", "payload-exec 0.00", "node-ready 0.50"]
    assert lines[-1] == "node-ready 1999.50"
    assert len(lines) == 203


def test_log_on_a_full_disk_is_bounded_all_the_same(root: FakeRoot) -> None:
    grow(root, "var/log/new.log", 9000)
    root.write("var/log/new.log.1", "older\n")
    full_disk(root)
    assert "cannot be kept" in look(root)
    assert root.read("var/log/new.log") == ""
