"""The disks of the power cuts themselves, written to by QEMU's own tools."""

from __future__ import annotations

import json
import random
import struct
import subprocess
from pathlib import Path

import pytest

from tasks.lib.debian import tools
from tasks.lib.vm.hardware import Hardware
from tests.powercut.volatile import VolatileDisk
from tests.powercut.writelog import FUA, HEADER, MAGIC, SUPERBLOCK, Replay, requests

SIZE = 1 << 20


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    path = tmp_path / "disk.img"
    path.write_bytes(b"\0" * SIZE)
    return path


def qemu_io(image: dict[str, object], *commands: str) -> None:
    """Run qemu-io, which flushes when it ends, so the last command is to abort it."""
    words = [*tools.command("qemu-io", set="qemu"), "-t", "writeback", f"json:{json.dumps(image)}"]
    for command in commands:
        words[-1:-1] = ["-c", command]
    subprocess.run(words, capture_output=True, timeout=60, check=False)


def served(disk: VolatileDisk, *commands: str) -> None:
    server = {"type": "unix", "path": str(disk.address)}
    qemu_io({"driver": "raw", "file": {"driver": "nbd", "server": server}}, *commands, "abort")


def logged(disk: Path, log: Path, *commands: str) -> None:
    log.touch()
    files = {name: {"driver": "file", "filename": str(path)} for name, path in (("file", disk), ("log", log))}
    qemu_io({"driver": "blklogwrites", "log-sector-size": 512, **files}, *commands, "abort")


def test_what_was_not_flushed_is_lost(disk: Path, tmp_path: Path) -> None:
    with VolatileDisk(disk, tmp_path / "s") as volatile:
        served(volatile, "write -P 1 0 4k", "flush", "write -P 2 0 4k", "write -P 3 8k 4k")
        assert volatile.flushes == 1
        assert volatile.cut() == 16
        served(volatile, "write -P 9 64k 512")
    content = disk.read_bytes()
    assert content[:4096] == b"\1" * 4096
    assert content[4096:] == b"\0" * (SIZE - 4096)


def test_what_is_read_is_what_was_written(disk: Path, tmp_path: Path) -> None:
    with VolatileDisk(disk, tmp_path / "s") as volatile:
        # -P on reading compares; a mistake ends qemu-io's run with an error, and nothing is written after it.
        served(
            volatile,
            "write -P 1 0 4k",
            "write -P 2 1k 512",
            "read -P 2 1k 512",
            "read -P 1 1536 512",
            "flush",
        )
    content = disk.read_bytes()
    assert (content[1024], content[1536], content[1023]) == (2, 1, 1)


def test_forced_write_is_durable_alone(disk: Path, tmp_path: Path) -> None:
    with VolatileDisk(disk, tmp_path / "s") as volatile:
        served(volatile, "write -P 1 0 4k", "write -f -P 2 8k 4k")
        assert volatile.flushes == 0
        assert volatile.cut() == 8
    assert disk.read_bytes()[8192:12288] == b"\2" * 4096
    assert disk.read_bytes()[:8192] == b"\0" * 8192


def test_half_is_torn_at_sectors(disk: Path, tmp_path: Path) -> None:
    with VolatileDisk(disk, tmp_path / "s") as volatile:
        served(volatile, "write -P 1 0 64k")
        lost = volatile.cut(random.Random(1))
    assert 30 < lost < 98
    sectors = [disk.read_bytes()[n * 512 : n * 512 + 512] for n in range(128)]
    assert sorted(set(sectors)) == [b"\0" * 512, b"\1" * 512]
    assert sectors.count(b"\0" * 512) == lost


def test_replay_gives_every_moment_of_a_run(disk: Path, tmp_path: Path) -> None:
    base, log, state = tmp_path / "base", tmp_path / "log", tmp_path / "state"
    base.write_bytes(disk.read_bytes())
    logged(disk, log, "write -P 1 0 4k", "flush", "write -P 2 0 4k", "write -P 3 8k 4k", "flush")
    replay = Replay(base, log, tmp_path / "durable")
    seen = []
    for count in range(len(replay.requests) + 1):
        replay.cut(count, state)
        content = state.read_bytes()
        seen.append((content[0], content[8192]))
    assert list(dict.fromkeys(seen)) == [(0, 0), (1, 0), (2, 3)]
    with pytest.raises(ValueError, match="forward"):
        replay.cut(0, state)


def test_forced_write_of_a_log_is_durable_alone(disk: Path, tmp_path: Path) -> None:
    log, state = tmp_path / "log", tmp_path / "state"
    written = [SUPERBLOCK.pack(MAGIC, 1, 2, 512)]
    for sector, flags in ((0, 0), (1, FUA)):
        written += [HEADER.pack(sector, 1, flags, 512), b"\1" * 512]
    log.write_bytes(b"".join(part.ljust(512, b"\0") for part in written))
    Replay(disk, log, tmp_path / "durable").cut(2, state)
    assert state.read_bytes()[:1024] == b"\0" * 512 + b"\1" * 512


def test_replay_tears_what_was_not_flushed(disk: Path, tmp_path: Path) -> None:
    base, log, state = tmp_path / "base", tmp_path / "log", tmp_path / "state"
    base.write_bytes(disk.read_bytes())
    logged(disk, log, "write -P 1 0 64k")
    replay = Replay(base, log, tmp_path / "durable")
    replay.cut(len(replay.requests), state, random.Random(1))
    ones = state.read_bytes().count(1)
    assert ones % 512 == 0
    assert 0 < ones < 65536
    assert Path(replay.durable).read_bytes().count(1) == 0


def test_log_is_read_to_its_end_and_not_beyond(disk: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    logged(disk, log, "write -P 1 0 4k", "write -P 2 4k 4k")
    whole = log.read_bytes()
    count = len(list(requests(log)))
    assert count >= 2
    log.write_bytes(whole[:16] + struct.pack("<Q", 0) + whole[24:])
    assert len(list(requests(log))) == count, "whatever the superblock says"
    log.write_bytes(whole[: list(requests(log))[1].end - 512])
    assert len(list(requests(log))) == 1, "a request of which data is missing has not happened"
    log.write_bytes(b"x" * 4096)
    with pytest.raises(ValueError, match="write log"):
        list(requests(log))


def test_machine_options(tmp_path: Path) -> None:
    words = Hardware(data=Path("/a,b/data.img"), data_log=tmp_path / "log").options()
    nodes = [json.loads(words[place + 1]) for place, word in enumerate(words) if word == "-blockdev"]
    assert [node["node-name"] for node in nodes] == ["data-file", "data-log", "data"]
    assert nodes[0]["filename"] == "/a,b/data.img"
    words = Hardware(data_socket=Path("/s")).options()
    (node,) = [json.loads(words[place + 1]) for place, word in enumerate(words) if word == "-blockdev"]
    assert node["server"]["path"] == "/s"
