"""What the node's programs ask for and do not find, over boot, load and shutdown, is decided name by name.

A program taken out of a distribution relies on files that nobody thinks of: /etc/protocols was one, and every
Service died after an hour.
"""

from __future__ import annotations

import fnmatch
import subprocess
import tomllib
from pathlib import Path

import pytest

from tasks.lib.boot.menu import DATA, SERIAL_LAST
from tasks.lib.debian import tools
from tasks.lib.formats import cpio
from tasks.lib.formats.tree import Tree
from tasks.lib.vm.disks import write_data_disk
from tasks.lib.vm.hardware import Hardware
from tasks.lib.vm.kube import Cluster, condition
from tasks.lib.vm.media import append_segment, boot_files
from tests.vm import web
from tests.vm.conftest import Start
from tests.vm.node import API, READY, connect, stretched, wait_milestones

HERE = Path(__file__).parent
MACHINE_SECONDS = 1800
# Every program of the root that the boot itself does not run, on something real.
PROGRAMS = """
dd if=/dev/zero of=/tmp/disk bs=1M count=16 2>/dev/null
mke2fs -q -F /tmp/disk && mkfs.ext4 -q -F /tmp/disk && e2fsck -f -p /tmp/disk && fsck.ext4 -f -n /tmp/disk &&
tune2fs -l /tmp/disk >/dev/null && truncate -s 32M /tmp/disk && resize2fs /tmp/disk 2>&1 && rm /tmp/disk &&
conntrack -L >/dev/null 2>&1 && nft -j list ruleset | grep -q '"tcp"' && lsmod >/dev/null &&
modinfo overlay >/dev/null && modprobe dummy && crun --version >/dev/null && id >/dev/null && echo all-ran
"""

pytestmark = [pytest.mark.long, pytest.mark.timeout(MACHINE_SECONDS + 60)]


def load_table() -> tuple[list[str], tuple[str, ...], list[str]]:
    """Patterns of names that may be missing, folders of state, programs that do not count."""
    table = tomllib.loads((HERE / "missing_files.toml").read_text())
    folders = tuple(f"{folder}/" for folder in table["state"]["folders"])
    return list(table["absent"]), folders, table["state"]["programs"]


def undecided(misses: str) -> list[str]:
    """The lines `<program> <name>` that the table says nothing about; relative names are a container's.

    A pattern is for a name, whoever asks for it, or for a whole line.
    """
    absent, folders, programs = load_table()
    found = []
    for line in misses.splitlines():
        program, _, name = line.partition(" ")
        inside = not name.startswith("/") or f"{name}/".startswith(folders) or program in programs
        if not inside and not any(
            fnmatch.fnmatchcase(text, pattern) for pattern in absent for text in (name, line)
        ):
            found.append(line)
    return found


def test_a_name_that_is_not_in_the_table_is_found() -> None:
    assert undecided("nft /etc/protocols\nnft /etc/ld.so.cache\nkubesolo /proc/9/maps\ncrun etc/x\n") == [
        "nft /etc/protocols"
    ]


def run_programs(cluster: Cluster) -> None:
    """Run PROGRAMS in the node's own root, from a privileged pod."""
    pod = web.shell_pod(
        "runs", f"/host/usr/bin/busybox nsenter -t 1 -m -n -- sh -c '{quoted(PROGRAMS)}'", privileged=True
    )
    cluster.apply(pod)
    path = "/api/v1/namespaces/default/pods/runs"
    cluster.wait(path, lambda found: found["status"].get("phase") in ("Succeeded", "Failed"), 180, "runs")
    output = cluster.logs("runs")
    assert "all-ran" in output, output


def quoted(script: str) -> str:
    return script.replace("'", "'\\''")


def test_nothing_is_missed_that_nobody_has_decided(
    start: Start, iso: Path, nginx_archive: Path, tmp_path: Path
) -> None:
    stage, disk = Tree(), tmp_path / "data.img"
    source = (HERE / "trace-misses.sh").read_bytes()
    stage.add_file("lib/kubesolo-init/stages/05-trace-misses.sh", source, 0o755)
    with (tmp_path / "stage.cpio").open("wb") as stream:
        cpio.write(stage, stream, 0)
    files = boot_files(iso, tmp_path / "boot")
    append_segment(files.initrd, tmp_path / "stage.cpio", tmp_path / "initramfs")
    content = Tree()
    content.add_file(f"images/{nginx_archive.name}", nginx_archive)
    write_data_disk(disk, 2048, content)
    machine = start(
        Hardware(
            cdrom=iso,
            data=disk,
            kernel=files.kernel,
            initrd=tmp_path / "initramfs",
            append=f"{DATA} {SERIAL_LAST}",
            forwards={API: 0},
        ),
        MACHINE_SECONDS,
    )
    wait_milestones(machine, READY, 240)
    cluster = connect(machine)
    cluster.apply(web.deployment())
    cluster.apply(web.service())
    cluster.wait(
        "/apis/apps/v1/namespaces/default/deployments/web",
        lambda found: condition(found, "Available"),
        180,
        "nginx available",
    )
    run_programs(cluster)
    cluster.close()
    machine.host.ask("poweroff")
    machine.wait_end(stretched(120))
    dump = [*tools.command("debugfs"), "-R", "cat /misses.txt", str(disk)]
    misses = subprocess.run(dump, capture_output=True, text=True, check=True).stdout
    assert "/etc/ld.so.cache" in misses, "the trace has seen what is known to be missing"
    assert "\n".join(undecided(misses)) == ""
