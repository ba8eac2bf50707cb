"""Clocks that are wrong both ways, against a real time server: chronyd on the host."""

from __future__ import annotations

import getpass
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tasks.lib.boot.menu import DATA, SERIAL_LAST
from tasks.lib.debian import tools
from tasks.lib.formats import cpio
from tasks.lib.formats.tree import Tree
from tasks.lib.process import die_with_parent
from tasks.lib.vm.disks import write_data_disk
from tasks.lib.vm.hardware import LOOPBACK, Hardware
from tasks.lib.vm.kube import Cluster, condition
from tasks.lib.vm.machine import Machine
from tasks.lib.vm.media import BootFiles, append_segment, boot_files
from tests.vm.conftest import Start
from tests.vm.node import (
    API,
    PAYLOAD_START,
    READY,
    READY_SECONDS,
    connect,
    passes,
    stretched,
    wait_booted,
    wait_milestones,
)

BOOT_SECONDS = 60
STUB_SECONDS = 240
NODE_SECONDS = 1500
# The host as the guest sees it.
HOST = "10.0.2.2"
SET = "set by NTP"
YEARS_AHEAD = "2033-05-05T12:00:00"


@pytest.fixture
def server_port() -> int:
    """A UDP port of the loopback address that nobody uses."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


@contextmanager
def time_server(port: int) -> Iterator[None]:
    """A chronyd that serves the host's time, as an ordinary user."""
    words = [*tools.command("chronyd", set="tests"), "-U", "-x", "-d", "-u", getpass.getuser()]
    words += [f"port {port}", f"bindaddress {LOOPBACK}", "allow", "local stratum 3"]
    words += ["cmdport 0", "bindcmdaddress /", "pidfile /"]
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL, preexec_fn=die_with_parent)
    try:
        yield
        assert process.poll() is None, "the time server has ended"
    finally:
        process.kill()
        process.wait()


def with_server(files: BootFiles, port: int, folder: Path) -> Path:
    """An initramfs whose node has been told the server, as its configuration file would."""
    segment, initrd = folder / "ntp.cpio", folder / "initramfs"
    stage = f'mkdir -p /run/kubesolo/cloud-init\necho "{HOST}:{port}" >/run/kubesolo/cloud-init/ntp\n'
    tree = Tree()
    tree.add_file("lib/kubesolo-init/stages/46-ntp.sh", stage.encode(), 0o755)
    with segment.open("wb") as stream:
        cpio.write(tree, stream, 0)
    append_segment(files.initrd, segment, initrd)
    return initrd


def power_off(machine: Machine) -> None:
    machine.host.ask("poweroff")
    machine.wait_end(stretched(60))


@pytest.mark.timeout(3 * STUB_SECONDS)
def test_clock_is_set_both_ways_and_does_not_go_back_alone(
    start: Start, stub_iso: Path, stub_files: BootFiles, tmp_path: Path, server_port: int
) -> None:
    disk = tmp_path / "data.img"
    write_data_disk(disk, 128)
    hardware = Hardware(
        cdrom=stub_iso,
        data=disk,
        kernel=stub_files.kernel,
        initrd=with_server(stub_files, server_port, tmp_path),
        append=f"{DATA} {SERIAL_LAST}",
        network="user",
    )
    with time_server(server_port):
        machine = start(replace(hardware, rtc=YEARS_AHEAD), STUB_SECONDS)
        machine.serial.wait(f"s ahead: {SET}", stretched(BOOT_SECONDS))
        wait_booted(machine, BOOT_SECONDS)
        power_off(machine)
        machine = start(replace(hardware, rtc="1970-01-01"), STUB_SECONDS)
        machine.serial.wait("this node has seen last", stretched(BOOT_SECONDS))
        wait_booted(machine, BOOT_SECONDS)
        wait_milestones(machine, ("clock-set",), BOOT_SECONDS)
        power_off(machine)
    machine = start(replace(hardware, rtc="1970-01-01"), STUB_SECONDS)
    machine.serial.wait("no time server has answered yet", stretched(BOOT_SECONDS))
    wait_booted(machine, BOOT_SECONDS)


@pytest.mark.long
@pytest.mark.timeout(NODE_SECONDS + 60)
def test_first_boot_years_ahead_heals_when_the_clock_is_set_right(
    start: Start, iso: Path, tmp_path: Path, server_port: int
) -> None:
    disk = tmp_path / "data.img"
    write_data_disk(disk, 1024)
    files = boot_files(iso, tmp_path)
    machine = start(
        Hardware(
            cdrom=iso,
            data=disk,
            kernel=files.kernel,
            initrd=with_server(files, server_port, tmp_path),
            append=f"{DATA} {SERIAL_LAST}",
            network="user",
            forwards={API: 0},
            rtc=YEARS_AHEAD,
        ),
        NODE_SECONDS,
    )
    wait_milestones(machine, ("node-ready",), READY_SECONDS)
    assert SET not in machine.serial.text()
    early = machine.host.ask("kubeconfig")
    with time_server(server_port):
        # Questions have become rare by now.
        machine.serial.wait(f"s ahead: {SET}", stretched(150))
        wait_milestones(machine, ("node-ready",), READY_SECONDS, times=2)
        wait_milestones(machine, READY, READY_SECONDS)
    assert passes(machine.host.ask("milestones"), PAYLOAD_START) == 2
    # The host's clock is right: both ends of both chains are valid by it, for a kubeconfig of before as well.
    for client in (connect(machine), Cluster(early, machine.port(API))):
        try:
            (node,) = client.get("/api/v1/nodes")["items"]
            assert condition(node, "Ready")
        finally:
            client.close()
