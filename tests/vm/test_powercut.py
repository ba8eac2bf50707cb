"""The power is cut: in the first boot, while images are unpacked, under load, and in the shutdown.

Each machine runs once; its write log gives the states of as many cuts as are asked for: some here, a hundred
in the tests marked long. A cut loses all that was not flushed, or a random half of its sectors.
"""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tasks.lib.errors import BuildError
from tasks.lib.formats.tree import Tree
from tasks.lib.vm.disks import write_data_disk
from tasks.lib.vm.hardware import Hardware
from tasks.lib.vm.kube import Cluster
from tasks.lib.vm.machine import Machine
from tests.powercut import states
from tests.powercut.volatile import VolatileDisk
from tests.powercut.writelog import Replay, copy_sparse
from tests.vm.conftest import Start
from tests.vm.node import API, READY, READY_SECONDS, connect, stretched, wait_booted, wait_milestones

STUB_MIB, NODE_MIB = 256, 1024
BOOT_SECONDS = 60
MACHINE_SECONDS = 1800
LOAD_SECONDS = 40
WRITERS = 3
FEW, MANY = 10, 100
# What a boot relies on: absent, or whole.
SETTINGS = {"/etc-kubesolo/hostname": 10, "/etc-kubesolo/machine-id": 33, "/resolv.conf": 10}

pytestmark = pytest.mark.timeout(MACHINE_SECONDS + 600)
counts = pytest.mark.parametrize("cuts", [FEW, pytest.param(MANY, marks=pytest.mark.long)])


@dataclass
class Run:
    """One machine's run: its disk before it, the log, and moments as sizes of the log."""

    base: Path
    disk: Path
    log: Path
    booted: int = 0
    loaded: int = 0
    # Name of the object to the size of the log when it was confirmed, and to its resourceVersion.
    confirmed: dict[str, int] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)

    def now(self) -> int:
        return self.log.stat().st_size


def new_run(folder: Path, size: int, content: Tree | None = None) -> Run:
    run = Run(folder / "base.img", folder / "data.img", folder / "writes.log")
    write_data_disk(run.base, size, content)
    copy_sparse(run.base, run.disk)
    return run


def moments(replay: Replay, cuts: int, first: int, last: int) -> list[int]:
    """Numbers of requests, spread evenly over the part of the log between two sizes."""
    inside = [n for n, request in enumerate(replay.requests, 1) if first < request.end <= last]
    assert inside, "nothing was written in this part"
    return sorted({inside[(n * (len(inside) - 1)) // max(1, cuts - 1)] for n in range(cuts)})


def chance(number: int) -> random.Random | None:
    """Every other cut tears."""
    return random.Random(number) if number % 2 else None


@pytest.fixture(scope="module")
def stub_run(start_shared: Start, stub_iso: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """First boot and power-off of a node with the stub payload."""
    run = new_run(tmp_path_factory.mktemp("stub-cuts"), STUB_MIB)
    # The isolated network's leases name no server for names.
    hardware = Hardware(cdrom=stub_iso, data=run.disk, data_log=run.log, network="user")
    machine = start_shared(hardware, MACHINE_SECONDS)
    wait_booted(machine, BOOT_SECONDS)
    time.sleep(5)
    run.booted = run.now()
    machine.host.ask("poweroff")
    machine.wait_end(stretched(90))
    return run


@pytest.mark.parametrize("part", ["boot", "shutdown"])
@counts
def test_settings_are_whole_or_not_there(stub_run: Run, tmp_path: Path, cuts: int, part: str) -> None:
    replay = Replay(stub_run.base, stub_run.log, tmp_path / "durable")
    first, last = (0, stub_run.booted) if part == "boot" else (stub_run.booted, stub_run.now())
    state = tmp_path / "state"
    seen: dict[str, bytes] = {}
    for number in moments(replay, cuts, first, last):
        replay.cut(number, state, chance(number))
        assert states.check(state) < 4, f"the file system after request {number}"
        for name, least in SETTINGS.items():
            content = states.read(state, name, tmp_path)
            if content is None:
                assert name not in seen, f"{name} was there before request {number}, and is gone"
                continue
            assert len(content) >= least, f"{name} after request {number}: {content!r}"
            assert seen.setdefault(name, content) == content
    assert set(seen) == set(SETTINGS), "the last state has all of them"


def write_maps(run: Run, cluster: Cluster, writer: int, until: float) -> None:
    """Write as fast as it goes, and note what was confirmed, and when."""
    number = 0
    while time.monotonic() < until:
        name = f"w{writer}-{number}"
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"x": "y" * 500}}
        try:
            made = cluster.request("POST", "/api/v1/namespaces/default/configmaps", json=body).json()
        except BuildError:
            continue
        # First the size: what is written while this is noted is not asked for.
        run.confirmed[name] = run.now()
        run.versions[name] = made["metadata"]["resourceVersion"]
        number += 1


def load(run: Run, machine: Machine) -> None:
    until = time.monotonic() + LOAD_SECONDS
    clients = [connect(machine) for _ in range(WRITERS)]
    threads = [
        threading.Thread(target=write_maps, args=(run, client, number, until))
        for number, client in enumerate(clients)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for client in clients:
        client.close()
    run.loaded = run.now()


@pytest.fixture(scope="module")
def node_run(start_shared: Start, iso: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """First boot of a whole node, then load until the power is cut."""
    run = new_run(tmp_path_factory.mktemp("node-cuts"), NODE_MIB)
    hardware = Hardware(cdrom=iso, data=run.disk, data_log=run.log, forwards={API: 0})
    machine = start_shared(hardware, MACHINE_SECONDS)
    wait_milestones(machine, READY, READY_SECONDS)
    run.booted = run.now()
    load(run, machine)
    machine.close()
    assert len(run.confirmed) > 20
    return run


@counts
def test_confirmed_objects_survive_every_cut(node_run: Run, tmp_path: Path, cuts: int) -> None:
    """173 of 1,480 were lost after four cuts."""
    replay = Replay(node_run.base, node_run.log, tmp_path / "durable")
    state = tmp_path / "state"
    lost: dict[int, set[str]] = {}
    for number in moments(replay, cuts, node_run.booted, node_run.loaded):
        replay.cut(number, state, chance(number))
        assert states.check(state) < 4
        found = states.config_maps(state, tmp_path)
        end = replay.requests[number - 1].end
        wanted = {name for name, size in node_run.confirmed.items() if size <= end}
        if missing := wanted - set(found):
            lost[number] = missing
        revisions = [revision for each in found.values() for revision in each]
        assert len(revisions) == len(set(revisions))
        for name in wanted & set(found):
            assert int(node_run.versions[name]) in found[name], "the revision that was given out"
    assert not lost, f"of {len(node_run.confirmed)} confirmed objects, after {len(lost)} cuts: {lost}"


@counts
def test_database_opens_after_a_cut_in_the_first_boot(node_run: Run, tmp_path: Path, cuts: int) -> None:
    """Images are unpacked and the cluster's first objects are written meanwhile."""
    replay = Replay(node_run.base, node_run.log, tmp_path / "durable")
    state = tmp_path / "state"
    for number in moments(replay, cuts, 0, node_run.booted):
        replay.cut(number, state, chance(number))
        assert states.check(state) < 4
        if states.read(state, states.DATABASE, tmp_path):
            states.config_maps(state, tmp_path)


def fill(disk: Path, folder: Path) -> None:
    """As full as the kernel lets a file system become: what ext4 keeps for itself stays free."""
    blocks, free, size = states.space(disk)
    filler = folder / "filler"
    with filler.open("wb") as stream:
        for _ in range((free - min(blocks // 50, 4096)) * size >> 20):
            stream.write(b"x" * (1 << 20))
    states.run("debugfs", "-w", "-R", f"write {filler} filler", str(disk))
    filler.unlink()
    states.check(disk)


def test_node_comes_up_after_a_cut_with_a_full_disk(
    node_run: Run, start: Start, iso: Path, tmp_path: Path
) -> None:
    replay = Replay(node_run.base, node_run.log, tmp_path / "durable")
    disk = tmp_path / "data.img"
    replay.cut(len(replay.requests), disk, random.Random(1))
    assert states.check(disk) < 4
    fill(disk, tmp_path)
    machine = start(Hardware(cdrom=iso, data=disk, forwards={API: 0}), MACHINE_SECONDS)
    wait_milestones(machine, ("apiserver-listening", "readyz"), READY_SECONDS)
    client = connect(machine)
    try:
        items = client.get("/api/v1/namespaces/default/configmaps")["items"]
        assert set(node_run.confirmed) <= {item["metadata"]["name"] for item in items}
    finally:
        client.close()
    machine.serial.wait("the data partition is full", stretched(90))


@pytest.mark.long
@pytest.mark.parametrize("seed", range(6))
def test_pods_run_after_a_cut_while_their_images_are_unpacked(
    start: Start, iso: Path, tmp_path: Path, seed: int
) -> None:
    """Files of the images were empty, and the pods failed for ever."""
    disk = tmp_path / "data.img"
    write_data_disk(disk, NODE_MIB)
    with VolatileDisk(disk, tmp_path / "nbd") as volatile:
        hardware = Hardware(cdrom=iso, data_socket=volatile.address, forwards={API: 0})
        machine = start(hardware, MACHINE_SECONDS)
        wait_milestones(machine, (("apiserver-listening", "node-ready")[seed % 2],), READY_SECONDS)
        time.sleep(4 * (seed // 2))
        volatile.cut(random.Random(seed) if seed % 3 else None)
        machine.close()
        again = start(hardware, MACHINE_SECONDS)
        wait_milestones(again, READY, READY_SECONDS)
        again.close()
