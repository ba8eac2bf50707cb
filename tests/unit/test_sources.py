"""Locked packages as files: cache, several processes at once, no network, drift."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tasks import sources as sources_tasks
from tasks.lib.config import load_config
from tasks.lib.debian import drift, fetch, tools
from tasks.lib.debian.lockfile import Package, load_lock, write_text
from tasks.lib.debian.resolve import resolve
from tasks.lib.engine import Build, artifact
from tasks.lib.engine.records import Records
from tasks.lib.engine.spec import Artifact
from tasks.lib.errors import BuildError
from tasks.lib.net import cache, transfer
from tasks.lib.paths import TOP, cache_dir
from tests.unit import mirror_server
from tests.unit.debian_archive import Archive


@pytest.fixture(autouse=True)
def _haste(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = transfer.Policy(connect=2, stall=1, attempts=2, pause=0.01)
    monkeypatch.setattr(transfer, "PATIENCE", policy)


def program() -> Package:
    return load_lock().packages["program"]


def vanish(archive: Archive, name: str, **newer: str) -> None:
    """The mirror drops a version; the suite has a newer one, when it is named."""
    for path in [path for path in archive.mirror.files if f"/{name}_" in path]:
        del archive.mirror.files[path]
    for records in archive.records.values():
        records[:] = [record for record in records if not record.startswith(f"Package: {name}\n")]
    if newer:
        archive.add(newer.pop("name", name), **newer)  # type: ignore[arg-type]
    archive.publish()


def test_a_set_is_fetched_once(locked: Archive) -> None:
    told: list[tuple[float, float, str]] = []
    fetched = fetch.fetch_set("userland", lambda *progress: told.append(progress))
    assert [package.name for package, _ in fetched] == ["library", "program"]
    total = sum(package.size for package, _ in fetched)
    assert told[-1] == (total, total, "B")
    assert all(path.stat().st_size == package.size for package, path in fetched)
    assert len(locked.mirror.requests) == 2
    assert fetch.fetch_set("userland") == fetched
    assert len(locked.mirror.requests) == 2


def test_everything_cached_and_no_network(locked: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    fetch.fetch_set("userland")
    monkeypatch.setenv("KUBESOLO_MIRROR", "http://127.0.0.1:9/debian")
    fetch.fetch_set("userland")
    monkeypatch.setenv("KUBESOLO_OFFLINE", "1")
    fetch.fetch_set("userland")
    with pytest.raises(
        BuildError, match=r"kernel.*\.deb is not in the cache, and the network is not to be used"
    ):
        fetch.fetch_set("kernel")


def test_offline_sends_nothing(locked: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBESOLO_OFFLINE", "1")
    with pytest.raises(BuildError, match="network is not to be used"):
        fetch.fetch_set("userland")
    assert locked.mirror.requests == []


@pytest.mark.parametrize("damage", [b"", b"short", None])
def test_a_damaged_object_is_fetched_again(locked: Archive, damage: bytes | None) -> None:
    path = fetch.fetch(program())
    content = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(damage if damage is not None else bytes(reversed(content)))
    cache.verified.clear()  # as in the next run
    assert fetch.fetch(program()).read_bytes() == content


def test_wrong_bytes_leave_no_file_behind(locked: Archive, checkout: Path) -> None:
    path = f"/debian/{program().path}"
    locked.mirror.files[path] = bytes(program().size)
    with pytest.raises(BuildError, match=f"{program().file}.*expected SHA-256 {program().sha256}, found"):
        fetch.fetch(program())
    left = [
        found for found in (checkout / "cache").rglob("*") if found.is_file() and "apt" not in found.parts
    ]
    assert left == []


def test_one_failure_ends_the_batch(locked: Archive) -> None:
    locked.mirror.scripts[f"/debian/{program().path}"] = [mirror_server.status(403)]
    library = load_lock().packages["library"]
    locked.mirror.scripts[f"/debian-security/{library.path}"] = [mirror_server.stalled]
    started = time.monotonic()
    with pytest.raises(BuildError, match=r"program_1\.0_amd64\.deb: .*403"):
        fetch.fetch_set("userland")
    assert time.monotonic() - started < 1


def fetch_elsewhere(results: multiprocessing.Queue[str]) -> None:
    notes: list[str] = []
    cache.verified.clear()
    results.put(f"{fetch.fetch(program(), note=notes.append)} {notes}")


def test_two_processes_download_an_object_once(locked: Archive) -> None:
    path = f"/debian/{program().path}"

    def slow(answer: mirror_server.Answer, content: bytes) -> None:
        time.sleep(0.5)
        mirror_server.good(answer, content)

    locked.mirror.scripts[path] = [slow]
    context = multiprocessing.get_context("fork")
    results: multiprocessing.Queue[str] = context.Queue()
    workers = [context.Process(target=fetch_elsewhere, args=(results,)) for _ in range(3)]
    for worker in workers:
        worker.start()
    said = sorted(results.get(timeout=20) for _ in workers)
    for worker in workers:
        worker.join(10)
        assert worker.exitcode == 0
    assert [request for request in locked.mirror.requests if request[0] == path] == [(path, "")]
    assert sum("waiting for another process" in text for text in said) == 2
    assert list((cache_dir() / "locks").iterdir()) == []


def test_a_killed_download_is_resumed(locked: Archive) -> None:
    whole = locked.mirror.files[f"/debian/{program().path}"]
    partial = cache.partial_path(program().sha256)
    partial.parent.mkdir(parents=True)
    partial.write_bytes(whole[:100])
    told: list[float] = []
    fetch.fetch(program(), lambda done, total, unit: told.append(done))
    assert locked.mirror.requests == [(f"/debian/{program().path}", "bytes=100-")]
    assert told[-1] == program().size
    assert not partial.exists()


def test_a_failed_write(locked: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(target: Path) -> None:
        target.write_bytes(b"beginning")
        raise OSError(28, os.strerror(28))

    with pytest.raises(BuildError, match="No space left on device") as caught:
        cache.fill("ab" * 32, 100, full, print)
    assert "make room" in caught.value.hint
    assert not cache.partial_path("ab" * 32).exists()
    assert not cache.object_path("ab" * 32).exists()


def test_a_cache_that_can_not_be_written(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (checkout / "cache").write_text("a file where the folder should be")
    with pytest.raises(BuildError, match=r"can not be opened") as caught:
        cache.fill("ab" * 32, 100, lambda target: None, print)
    assert "permissions" in caught.value.hint


def test_drift_is_allowed_loudly(locked: Archive, checkout: Path) -> None:
    vanish(locked, "program", version="2.0", depends="library, addition")
    locked.add("addition", "0.1")
    locked.publish()
    notes: list[str] = []
    before = (checkout / "versions.lock").read_bytes()
    fetched = fetch.fetch_set("userland", note=notes.append)
    assert [(package.name, package.version) for package, _ in fetched] == [
        ("addition", "0.1"), ("library", "1.1"), ("program", "2.0"),
    ]  # fmt: skip
    assert len(notes) == 1
    assert "WARNING: program_1.0_amd64.deb has gone" in notes[0]
    assert "program 1.0 → 2.0" in notes[0]
    report = json.loads(drift.REPORT.read_text())
    assert "program 1.0 → 2.0" in report["changes"]
    assert (checkout / "versions.lock").read_bytes() == before
    # In force from now on, for every set, without asking again.
    assert {package.version for package in fetch.packages("lone")} == {"2.0"}
    requests = len(locked.mirror.requests)
    assert fetch.fetch_set("userland", note=notes.append) == fetched
    assert (len(locked.mirror.requests), len(notes)) == (requests, 1)


def spec_of(task: dict[str, Any]) -> Artifact:
    """The description in a task as doit gets it."""
    found: Artifact = task["meta"]["artifact"]
    return found


def described() -> dict[str, object]:
    """What the tasks of each set are compared by, and what the users of its tools are."""
    found: dict[str, object] = {}
    for task in sources_tasks.tasks(load_config(), fetch.current(), []):
        found[str(task["basename"])] = spec_of(task).values
    return found | {name: tools.digest(name) for name in load_lock().sets}


def test_drift_under_one_set_makes_the_tasks_of_another_stale(locked: Archive, checkout: Path) -> None:
    before = described()
    vanish(locked, "program", version="2.0", depends="library")
    fetch.fetch_set("userland", note=lambda text: None)
    after = described()
    stale = {name for name in before if before[name] != after[name]}
    assert stale == {"sources-userland", "sources-lone", "userland", "lone"}


def test_a_run_sees_drift_under_another_set_than_its_tools(locked: Archive, checkout: Path) -> None:
    """The process that decides what is stale is not the one that finds out that a package has gone."""
    build = partial(sources_tasks.build_listing, "lone")
    task = artifact("x", doc="", build=build, targets=[checkout / "x"], tools=["lone"])
    spec = spec_of(task)
    records = Records(checkout / "tasks.db", TOP)
    (checkout / "x").write_text("made")
    records.look(spec)
    records.save_artifact(spec, {path: str(records.digests.of(path)) for path in spec.targets}, 0)
    assert records.look(spec) == []
    vanish(locked, "program", version="2.0", depends="library")
    fetch.fetch_set("userland", note=lambda text: None)
    records.look_again()
    assert [str(change) for change in records.look(spec)] == ["tools lone changed"]
    records.close()


def test_a_drifted_kernel_has_another_name(locked: Archive) -> None:
    vanish(locked, "kernel-6.1")
    vanish(locked, "kernel", version="6.2", depends="kernel-6.2, library", source="linux")
    locked.add("kernel-6.2", "6.2", source="linux")
    locked.publish()
    names = [package.name for package, _ in fetch.fetch_set("kernel", note=lambda text: None)]
    assert names == ["kernel", "kernel-6.2"]


def test_a_new_lock_ends_the_drift(locked: Archive, checkout: Path) -> None:
    vanish(locked, "program", version="2.0")
    fetch.fetch_set("userland", note=lambda text: None)
    locked.add("program", "3.0")
    locked.publish()
    write_text(checkout / "versions.lock", resolve(load_config()).text())
    assert fetch.packages("lone")[0].version == "3.0"


def test_a_damaged_record_of_drift_is_found_out_anew(locked: Archive) -> None:
    vanish(locked, "program", version="2.0")
    fetch.fetch_set("lone", note=lambda text: None)
    drift.STATE.write_text(drift.STATE.read_text()[:200])
    assert fetch.packages("lone")[0].version == "1.0"
    assert fetch.fetch_set("lone", note=lambda text: None)[0][0].version == "2.0"


def test_drift_is_forbidden(locked: Archive, checkout: Path) -> None:
    vanish(locked, "program", version="2.0")
    text = (checkout / "versions.toml").read_text()
    (checkout / "versions.toml").write_text(text.replace('drift = "allow"', 'drift = "forbid"'))
    with pytest.raises(BuildError, match=r"program_1\.0_amd64\.deb has gone .* drift is forbidden") as caught:
        fetch.fetch_set("userland")
    assert "./doit lock" in caught.value.hint
    assert not drift.STATE.exists()
    assert not drift.REPORT.exists()


def test_snapshots_are_asked_before_drifting(locked: Archive, checkout: Path) -> None:
    path = program().path
    content = locked.mirror.files[f"/debian/{path}"]
    vanish(locked, "program", version="2.0")
    locked.mirror.files[f"/snapshot/{path}"] = content
    text = (checkout / "versions.toml").read_text()
    address = f"{locked.mirror.address}/snapshot/"
    (checkout / "versions.toml").write_text(text.replace("drift", f'snapshots = ["{address}"]\ndrift'))
    assert fetch.fetch(program()).stat().st_size == program().size
    assert not drift.STATE.exists()


def test_a_mirror_that_lacks_what_its_index_names(locked: Archive) -> None:
    del locked.mirror.files[f"/debian/{program().path}"]
    with pytest.raises(BuildError, match="is in the signed index, but no mirror has it"):
        fetch.fetch_set("userland")


def test_a_replacement_must_be_signed(locked: Archive) -> None:
    vanish(locked, "program", version="2.0")
    locked.publish(key=locked.rsop("generate-key", "--no-armor", "someone else"))
    with pytest.raises(BuildError, match="what replaces it is not known: no mirror has the signed suite"):
        fetch.fetch_set("userland")


def test_the_listing_that_other_tasks_depend_on(locked: Archive, checkout: Path) -> None:
    notes: list[Callable[[str], None]] = []
    sources_tasks.build_listing("userland", Build(outs=[checkout / "listing"], scratch=checkout))
    records = json.loads((checkout / "listing").read_text())
    assert [record["name"] for record in records] == ["library", "program"]
    assert notes == []


def test_there_is_a_task_for_each_set(locked: Archive) -> None:
    names = [task["basename"] for task in sources_tasks.tasks(load_config(), load_lock(), [])]
    assert names == ["sources-kernel", "sources-lone", "sources-userland"]


def test_no_registry_is_named() -> None:
    found = subprocess.run(
        ["git", "grep", "-lE", r"(deb|security|snapshot|ftp)[a-z0-9.]*\.debian\.org"],
        cwd=TOP, capture_output=True, text=True, check=False,
    ).stdout.split()  # fmt: skip
    assert found == []
