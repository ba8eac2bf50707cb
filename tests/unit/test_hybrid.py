import struct
import uuid
import zlib
from itertools import pairwise
from pathlib import Path

import pytest

from tasks.lib.errors import BuildError
from tasks.lib.formats.hybrid import ESP_TYPE, Layout, make_hybrid

LAYOUT = Layout(isolinux=400, esp_start=1200, esp_size=5760)
CODE = b"\xeb\x3c" + b"\x90" * 430


def make_image(path: Path, size: int = 5_000_000) -> bytes:
    path.write_bytes(bytes(32768) + b"\x01CD001" + b"x" * (size - 32774))
    make_hybrid(path, CODE, LAYOUT, b"identity")
    return path.read_bytes()


def header(data: bytes, sector: int) -> tuple[bytes, tuple[int, ...]]:
    raw = data[sector * 512 :][:92]
    fields = struct.unpack("<8sLLLLQQQQ16sQLLL", raw)
    assert fields[0] == b"EFI PART"
    assert fields[3] == zlib.crc32(raw[:16] + bytes(4) + raw[20:]), "header checksum"
    entries = data[fields[10] * 512 :][: fields[11] * fields[12]]
    assert fields[13] == zlib.crc32(entries), "checksum of the entries"
    return entries, (*fields[5:9], fields[10])


def test_both_tables_are_whole_and_agree(tmp_path: Path) -> None:
    data = make_image(tmp_path / "a.iso")
    last = len(data) // 512 - 1
    first, (own, other, low, high, start) = header(data, 1)
    second, (own2, other2, low2, high2, start2) = header(data, last)
    assert first == second
    assert (own, other, start) == (1, last, 2)
    assert (own2, other2, start2) == (last, 1, last - 32)
    assert (low, high) == (low2, high2) == (64, last - 33)
    assert len(data) % (64 << 10) == 0


def test_partitions_cover_all_of_the_iso(tmp_path: Path) -> None:
    data = make_image(tmp_path / "a.iso")
    entries, (_, _, low, high, _) = header(data, 1)
    rows = [struct.unpack("<16s16sQQ", entries[at : at + 48]) for at in (0, 128, 256)]
    assert uuid.UUID(bytes_le=rows[0][0]) == ESP_TYPE
    assert len({row[1] for row in rows}) == 3
    assert all(uuid.UUID(bytes_le=row[1]).version == 8 for row in rows)
    assert rows[0][2:] == (1200, 1200 + 5760 - 1), "the EFI image is the first"
    places = sorted(row[2:] for row in rows)
    assert places[0][0] == low
    assert places[2][1] == high
    assert all(before[1] + 1 == after[0] for before, after in pairwise(places))
    assert not any(entries[384:])


def test_mbr_boots_isolinux_and_protects_the_disk(tmp_path: Path) -> None:
    data = make_image(tmp_path / "a.iso")
    assert data[:432] == CODE
    assert int.from_bytes(data[432:440], "little") == 400
    assert data[510:512] == b"\x55\xaa"
    status, kind, start, size = struct.unpack("<B3xB3xLL", data[446:462])
    assert (status, kind, start, size) == (0, 0xEE, 1, len(data) // 512 - 1)
    assert data[462] == 0x80
    assert data[466] == 0


def test_what_was_on_the_iso_stays(tmp_path: Path) -> None:
    data = make_image(tmp_path / "a.iso")
    assert data[32768:5_000_000] == b"\x01CD001" + b"x" * (5_000_000 - 32774)


def test_identity_decides_the_guids(tmp_path: Path) -> None:
    first = make_image(tmp_path / "a.iso")
    assert first == make_image(tmp_path / "b.iso")
    (tmp_path / "c.iso").write_bytes(bytes(5_000_000))
    make_hybrid(tmp_path / "c.iso", CODE, LAYOUT, b"another")
    assert (tmp_path / "c.iso").read_bytes()[568:584] != first[568:584]


def test_too_long_code_and_a_used_system_area_are_refused(tmp_path: Path) -> None:
    make_image(tmp_path / "a.iso")
    with pytest.raises(BuildError, match="system area"):
        make_hybrid(tmp_path / "a.iso", CODE, LAYOUT, b"identity")
    with pytest.raises(BuildError, match="433 bytes"):
        make_hybrid(tmp_path / "a.iso", CODE + b"x", LAYOUT, b"identity")
