"""The parts of ./doit bench: each measures, keeps the raw results and puts its table into the document."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tasks import kernel, update, userland
from tasks.lib.bench import boots, builds, cold, configs, live, report, sizes, updates, workloads, writes
from tasks.lib.bench.host import describe_host
from tasks.lib.paths import TOP
from tasks.lib.release.imagenames import reference
from tasks.lib.target import Target
from tasks.lib.vm.accel import EMULATION, acceleration
from tasks.lib.vm.media import boot_files
from tasks.payload import KUBESOLO, MODULE

LIVE_DOCUMENT = TOP / "docs" / "livecd.md"


def say(text: str) -> None:
    """One line of progress."""
    print(f"  {text}", flush=True)


def bench_sizes(iso: Path) -> None:
    """Sizes."""
    found = sizes.measure_sizes(iso)
    report.store("sizes", found)
    report.publish("sizes", sizes.describe_sizes(found))
    say(f"{iso.name}: {sizes.megabytes(found[''])} MB")


def bench_boots(
    media: Mapping[str, Path], setups: tuple[boots.Setup, ...], repeat: int, *, kvm: bool
) -> None:
    """Boots. media: the files of the ISO and, where it is asked for, of the disk image."""
    host, accelerator = describe_host(), EMULATION
    if kvm:
        with tempfile.TemporaryDirectory(prefix="kubesolo-bench-") as folder:
            accelerator = acceleration(boot_files(media["iso"], Path(folder)).kernel)
    found = boots.measure_boots(media, accelerator, setups, repeat, say)
    report.store("boot", {"host": vars(host), "accelerator": accelerator.name, "boots": boots.raw(found)})
    engine = "QEMU TCG, pure emulation" if accelerator.name == "tcg" else f"QEMU with {accelerator.name}"
    report.publish("boot", f"{engine}, on {host}; {repeat} of each.\n\n{boots.describe_boots(found)}")


def bench_configs(iso: Path, repeat: int) -> None:
    """What a configuration file costs. iso: of a payload that starts in no time."""
    host = describe_host()
    found = configs.measure_configs(iso, TOP / "docs" / "examples" / "static-ip.yaml", repeat, say)
    report.store("config", {"host": vars(host), "boots": found})
    report.publish("config", f"On {host}; {repeat} of each.\n\n{configs.describe_configs(found)}")


def bench_workloads(iso: Path, only: str, settings: workloads.Settings, *, again: bool, kvm: bool) -> None:
    """What a node bears, a row at a time: each is kept as soon as it is measured."""
    accelerator, results = EMULATION, workloads.stored()
    names = workloads.chosen(only, results, again=again)
    if kvm:
        with tempfile.TemporaryDirectory(prefix="kubesolo-bench-") as folder:
            accelerator = acceleration(boot_files(iso, Path(folder)).kernel)
    for name, result in workloads.measure(names, iso, accelerator, reference("pause"), settings, say):
        results[name] = result
        report.store(workloads.NAME, results)
        report.publish(workloads.NAME, workloads.describe(results))
        say(f"{name}: {'; '.join(figure for _, _, figure in workloads.ROWS[name].describe(result))}")


def bench_writes() -> None:
    """Confirmed writes a second."""
    host = describe_host()
    found = writes.measure_writes(MODULE, KUBESOLO, report.RESULTS)
    report.store("writes", {"host": vars(host), "writes": found})
    report.publish("writes", f"On {host}.\n\n{writes.describe_writes(found)}")


def bench_builds() -> None:
    """Builds."""
    host = describe_host()
    folder = report.RESULTS / "build"
    found = builds.measure_builds(folder, say)
    shutil.rmtree(folder, ignore_errors=True)
    report.store("build", {"host": vars(host), "seconds": vars(found)})
    report.publish("build", f"On {host}.\n\n{builds.describe_builds(found)}")


def bench_cold() -> None:
    """Builds with empty compile caches."""
    host = describe_host()
    folder = report.RESULTS / "cold"
    found = cold.measure_cold(folder, host.cores, say)
    shutil.rmtree(folder, ignore_errors=True)
    report.store("cold", {"host": vars(host), "seconds": vars(found)})
    report.publish("cold", f"On {host}.\n\n{cold.describe_cold(found)}")


def bench_live(iso: Path, seed: Path) -> None:
    """The Live CD: sizes, and boots under emulation."""
    host, measured = describe_host(), sizes.measure_sizes(iso)
    found = live.measure(iso, seed, EMULATION, say)
    report.store("live", {"host": vars(host), "sizes": measured, "boots": live.raw(found)})
    text = f"QEMU TCG, pure emulation, on {host}.\n\n{live.describe(measured, found)}"
    report.publish("live", text, LIVE_DOCUMENT)


def bench_updates(old: Target, new: Target) -> None:
    """What an update fetches: of a change in overlay/ or init/, and of one package besides."""
    host, before, later = describe_host(), update.files(old), update.files(new)
    report.RESULTS.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=report.RESULTS) as name:
        folder = Path(name)
        tars = (userland.archive(old), kernel.modules(old))
        root = updates.other_root(*tars, old.arch.bcj, old.epoch, folder)
        found = {
            "init": updates.measure(before, later, folder / "init"),
            "one package": updates.measure(before, {**later, root.name: root}, folder / "package"),
        }
    raw = {kind: {way: vars(cost) for way, cost in costs.items()} for kind, costs in found.items()}
    report.store("update", {"host": vars(host), "updates": raw})
    total = sum(path.stat().st_size for path in later.values())
    report.publish("update", updates.describe(found, total), updates.DOCUMENT)


# What needs no product.
OTHERS: dict[str, Callable[[], Any]] = {"writes": bench_writes, "build": bench_builds, "cold": bench_cold}
NAMES = ("sizes", "boot", "config", "update", "live", *OTHERS, "workloads")
# It takes hours under emulation: measured when it is named.
ON_DEMAND = ("workloads",)
