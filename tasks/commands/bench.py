"""Measure and write docs/benchmarks.md."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tasks.lib.bench import boots, builds, cold, report, sizes, writes
from tasks.lib.bench.host import describe_host
from tasks.lib.engine.command import Command
from tasks.lib.errors import BuildError
from tasks.lib.release.product import choose, named
from tasks.lib.vm.accel import EMULATION, Acceleration, acceleration
from tasks.lib.vm.media import boot_files
from tasks.payload import KUBESOLO, MODULE

DESCRIPTION = """\
Measures the size of the ISO (sizes), boots in QEMU (boot), what durable writes cost the database (writes),
builds (build) and builds with empty compile caches (cold), or only what is named, and puts the tables into
docs/benchmarks.md and the raw results into output/bench/. Boots take a minute or two each, cold builds half
an hour; builds work in a clone of what is committed. Run nothing else meanwhile.
"""
OPTIONS = (
    {"name": "repeat", "long": "repeat", "type": int, "default": 1,
     "help": "how often each boot is measured; the median is shown"},
    {"name": "kvm", "long": "kvm", "type": bool, "default": False,
     "help": "boot with KVM where it works, instead of emulation"},
    {"name": "setups", "long": "setups", "type": str, "default": "",
     "help": "which boots, for example bios-1024,disk-uefi-1024 [default: all]"},
    {"name": "iso", "long": "iso", "type": str, "default": "",
     "help": "measure another ISO; nothing is built"},
)  # fmt: skip
PARTS = ("sizes", "boot", "writes", "build", "cold")


class Plugin(Command):
    """Measure sizes, boots and builds."""

    name = "bench"
    doc_purpose = "measure sizes, boots and builds, and write docs/benchmarks.md"
    doc_usage = f"[{'|'.join(PARTS)} ...]"
    doc_description = DESCRIPTION  # type: ignore[assignment]
    cmd_options = OPTIONS

    def execute(self, opt_values: Any, pos_args: list[str]) -> int:
        """Measure what is named, in the order of PARTS.

        Raises BuildError for an unknown part, and when a measurement fails.
        """
        if unknown := set(pos_args) - set(PARTS):
            raise BuildError(
                f"bench: unknown: {', '.join(sorted(unknown))}", f"choose from {', '.join(PARTS)}"
            )
        setups = chosen_setups(opt_values["setups"])
        parts = [part for part in PARTS if part in pos_args or not pos_args]
        from dodo import PRODUCTS

        iso = choose(PRODUCTS[0], opt_values["iso"]) if {"sizes", "boot"} & set(parts) else Path()
        media = {"iso": iso}
        if "boot" in parts and any(setup.medium == "disk" for setup in setups):
            media["disk"] = choose(named(PRODUCTS, "disk-image"), "")
        for part in parts:
            if part == "sizes":
                bench_sizes(iso)
            elif part == "boot":
                bench_boots(media, setups, opt_values["repeat"], kvm=opt_values["kvm"])
            elif part == "writes":
                bench_writes()
            elif part == "build":
                bench_builds()
            else:
                bench_cold()
        print(f"bench: {report.DOCUMENT} is up to date; raw results are in {report.RESULTS}")
        return 0


def chosen_setups(text: str) -> tuple[boots.Setup, ...]:
    """The kinds of boot named on the command line, or all.

    Raises BuildError for one that does not exist.
    """
    known = {setup.name: setup for setup in boots.SETUPS}
    names = text.split(",") if text else list(known)
    if wrong := [name for name in names if name not in known]:
        raise BuildError(f"bench: no such boot: {', '.join(wrong)}", f"choose from {', '.join(known)}")
    return tuple(known[name] for name in names)


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
    host = describe_host()
    accelerator = choose_accelerator(media["iso"]) if kvm else EMULATION
    found = boots.measure_boots(media, accelerator, setups, repeat, say)
    report.store("boot", {"host": vars(host), "accelerator": accelerator.name, "boots": boots.raw(found)})
    engine = "QEMU TCG, pure emulation" if accelerator.name == "tcg" else f"QEMU with {accelerator.name}"
    report.publish("boot", f"{engine}, on {host}; {repeat} of each.\n\n{boots.describe_boots(found)}")


def choose_accelerator(iso: Path) -> Acceleration:
    """What a probe guest boots with."""
    with tempfile.TemporaryDirectory(prefix="kubesolo-bench-") as folder:
        return acceleration(boot_files(iso, Path(folder)).kernel)


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
