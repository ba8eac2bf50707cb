"""The builder's side of updates: what a bundle holds, how it is cut, and what is said about it."""

from __future__ import annotations

import hashlib
import json
import random
from dataclasses import replace
from pathlib import Path

import pytest

from agent.update import chunks as agent_chunks
from agent.update import manifest, signature
from agent.update.keys import TEST_KEY
from tasks import update
from tasks.lib.config import Update
from tasks.lib.engine import Build
from tasks.lib.errors import BuildError
from tasks.lib.paths import BUILD, OUTPUT
from tasks.lib.release import chunks, testkey, updatemanifest
from tasks.lib.release.signing import sign_file
from tasks.lib.release.updatemanifest import Release
from tests.unit.targets import STUB, TARGET

UPDATE = Update(
    keys=("ab" * 32,), min_compatible_version="0.1.0", floor="0.1.0", valid_days=2, notes="für alle"
)
RELEASE = Release("0.2.0", "amd64", 86400, UPDATE)


def noise(size: int, seed: int) -> bytes:
    return random.Random(seed).randbytes(size)


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def rows(text: str) -> list[tuple[str, int]]:
    return [(line.split()[0], int(line.split()[1])) for line in text.splitlines()]


@pytest.fixture
def sources(tmp_path: Path) -> dict[str, Path]:
    found = {}
    for number, name in enumerate(("vmlinuz", "kubesolo-os.gz", "root.squashfs")):
        found[name] = tmp_path / f"source-{number}"
        found[name].write_bytes(noise(300_000 + number, number))
    return found


@pytest.fixture
def parts(sources: dict[str, Path]) -> dict[str, tuple[Path, Path]]:
    """Files with what passes for an index."""
    return {name: (path, path) for name, path in sources.items()}


def bundle(tmp_path: Path, sources: dict[str, Path], name: str = "out") -> Path:
    """A finished bundle, laid out as the task's targets are."""
    target = replace(TARGET, version="0.2.0", update=UPDATE)
    folder = tmp_path / name
    scratch = tmp_path / "scratch"
    scratch.mkdir(exist_ok=True)
    outs = [folder / "latest.json", folder / "0.2.0.json"]
    outs += [folder / "0.2.0" / f"{file}{end}" for file in sources for end in ("", ".chunks")]
    (folder / "0.2.0").mkdir(parents=True)
    values = {**target.description(), "update": json.loads(json.dumps(UPDATE.__dict__))}
    update.build(tuple(sources.items()), Build(outs, scratch, values=values))
    return folder


def test_every_file_of_a_slot_is_in_the_bundle_with_an_index() -> None:
    names = [str(path.relative_to(update.bundle(TARGET))) for path in update.targets(TARGET)]
    assert names[:2] == ["latest.json", "0.0.0.json"]
    assert {"0.0.0/vmlinuz", "0.0.0/kubesolo-os.gz", "0.0.0/root.squashfs"} <= set(names)
    assert {f"{name}.chunks" for name in names[2::2]} == set(names[3::2])


def test_what_only_tests_want_stays_out_of_output() -> None:
    assert update.bundle(TARGET) == OUTPUT / "update/stable/amd64"
    assert update.bundle(STUB).is_relative_to(BUILD)
    later = STUB.variant("stub-next", version="0.2.0")
    assert set(update.targets(STUB)).isdisjoint(update.targets(later))


def test_the_manifest_describes_every_byte_of_the_bundle(tmp_path: Path, sources: dict[str, Path]) -> None:
    folder = bundle(tmp_path, sources)
    found = json.loads((folder / "latest.json").read_text())
    described = {row["path"]: row for row in found["files"].values()}
    described |= {row["chunks"]["path"]: row["chunks"] for row in found["files"].values()}
    assert sorted(described) == sorted(str(path.relative_to(folder)) for path in folder.glob("0.2.0/*"))
    for path, row in described.items():
        content = (folder / path).read_bytes()
        assert (row["size"], row["sha256"]) == (len(content), digest(content)), path
    assert (folder / "0.2.0/vmlinuz").read_bytes() == sources["vmlinuz"].read_bytes()
    assert (folder / "0.2.0.json").read_bytes() == (folder / "latest.json").read_bytes()


def test_the_manifest_says_what_versions_toml_says(parts: dict[str, tuple[Path, Path]]) -> None:
    found = json.loads(updatemanifest.text(RELEASE, parts))
    assert found | {"files": {}} == {
        "schema": 1,
        "name": "kubesolo-os",
        "version": "0.2.0",
        "channel": "stable",
        "architecture": "amd64",
        "board": "generic",
        "released": "1970-01-02T00:00:00Z",
        "expires": "1970-01-04T00:00:00Z",
        "min_compatible_version": "0.1.0",
        "floor": "0.1.0",
        "notes": "für alle",
        "keys": ["ab" * 32],
        "files": {},
    }


def test_a_bundle_is_reproducible(tmp_path: Path, sources: dict[str, Path]) -> None:
    first, second = bundle(tmp_path, sources, "one"), bundle(tmp_path, sources, "two")
    for path in first.rglob("*"):
        if path.is_file():
            assert path.read_bytes() == (second / path.relative_to(first)).read_bytes(), path


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("min_compatible_version", replace(UPDATE, min_compatible_version="0.10.0")),
        ("floor", replace(UPDATE, floor="0.10.0")),
    ],
)
def test_a_version_that_no_node_could_take_is_refused(name: str, values: Update) -> None:
    with pytest.raises(BuildError, match=rf"update.{name}: is 0.10.0, above os.version, 0.2.0"):
        updatemanifest.text(replace(RELEASE, update=values), {})


def test_a_manifest_that_nodes_would_not_read_is_refused(parts: dict[str, tuple[Path, Path]]) -> None:
    release = replace(RELEASE, update=replace(UPDATE, notes="x" * 300_000))
    with pytest.raises(
        BuildError, match="nodes would refuse this update: the manifest is larger than 256 KiB"
    ):
        updatemanifest.text(release, parts)
    with pytest.raises(BuildError, match=r"kubesolo-os\.gz is missing"):
        updatemanifest.text(RELEASE, {"vmlinuz": parts["vmlinuz"], "other": parts["vmlinuz"]})


def test_a_node_that_has_the_key_takes_the_bundle(tmp_path: Path, sources: dict[str, Path]) -> None:
    folder = bundle(tmp_path, sources)
    latest = folder / "latest.json"
    sign_file(latest, testkey.private_key())
    content, signed = latest.read_bytes(), latest.with_name("latest.json.sig").read_bytes()
    assert signature.signer({TEST_KEY: "the image"}, content, signed) == TEST_KEY
    found = manifest.parse(content)
    assert found.files.keys() == sources.keys()
    for name, file in found.files.items():
        assert file.chunks
        rows = agent_chunks.parse((folder / file.chunks.path).read_bytes(), file.size)
        data = sources[name].read_bytes()
        assert all(digest(data[row.offset : row.offset + row.size]) == row.sha256 for row in rows)


def test_an_index_lists_the_chunks_of_the_file_in_order(tmp_path: Path) -> None:
    content = noise(1_000_000, 1)
    (tmp_path / "file").write_bytes(content)
    place = 0
    for sha256, size in rows(chunks.index(tmp_path / "file", tmp_path)):
        assert 0 < size <= 131072
        assert digest(content[place : place + size]) == sha256
        place += size
    assert place == len(content)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_what_is_inserted_changes_the_chunks_around_it_alone(tmp_path: Path) -> None:
    old = noise(2_000_000, 2)
    (tmp_path / "old").write_bytes(old)
    (tmp_path / "new").write_bytes(old[:700_000] + b"a few bytes more" + old[700_000:])
    known = set(rows(chunks.index(tmp_path / "old", tmp_path)))
    new = [
        size for sha256, size in rows(chunks.index(tmp_path / "new", tmp_path)) if (sha256, size) not in known
    ]
    assert 0 < sum(new) <= 3 * 131072


def test_an_empty_file_has_no_chunks(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    assert chunks.index(tmp_path / "file", tmp_path) == ""
