"""Measure and write docs/benchmarks.md."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from tasks.lib.bench import boots, node, parts, report, workloads
from tasks.lib.engine.command import Command, option
from tasks.lib.engine.main import build
from tasks.lib.errors import BuildError
from tasks.lib.release.product import choose, named


class Plugin(Command):
    """Measure sizes, boots and builds."""

    doc_purpose = "measure sizes, boots and builds, and write docs/benchmarks.md"
    doc_usage = f"[{'|'.join(parts.NAMES)} ...]"
    doc_description = """\
Measures the size of the ISO (sizes), boots in QEMU (boot), what a configuration file costs them (config),
what an update fetches (update), size and boots of the Live CD (live), what durable writes cost the database
(writes), builds (build) and builds with empty compile caches (cold), or only what is named; what a node
bears (workloads) only when it is named, as it takes hours under emulation. Puts the tables into
docs/benchmarks.md (update: docs/update-flow.md, live: docs/livecd.md) and the raw results into
output/bench/. Boots take a minute or two each, cold builds half an hour; builds work in a clone of what is
committed. Run nothing else meanwhile.
"""
    cmd_options = (
        option("repeat", 1, "how often each boot is measured; the median is shown"),
        option("kvm", False, "boot with KVM where it works, instead of emulation"),
        option("setups", "", "which boots, for example bios-1024,disk-uefi-1024 [default: all]"),
        option("only", "", "which workloads, for example start,api [default: those without a result]"),
        option("again", False, "measure workloads that have a result, too"),
        option("cycles", node.CYCLES, "how many pods come and go in workload cycles"),
        option("idle", int(node.IDLE_SECONDS), "how many seconds workload disk watches an idle node"),
        option("iso", "", "measure another ISO; nothing is built"),
    )

    def execute(self, opt_values: Any, pos_args: list[str]) -> int:
        """Measure what is named, in a fixed order.

        Raises BuildError for an unknown part, and when a measurement fails.
        """
        from dodo import NEXT, PRODUCTS, STUB, TARGET
        from tasks import liveseed

        if unknown := set(pos_args) - set(parts.NAMES):
            what = f"bench: unknown: {', '.join(sorted(unknown))}"
            raise BuildError(what, f"choose from {', '.join(parts.NAMES)}")
        setups = boots.chosen_setups(opt_values["setups"])
        usual = [part for part in parts.NAMES if part not in parts.ON_DEMAND]
        wanted = [part for part in parts.NAMES if part in (pos_args or usual)]
        of_iso = {"sizes", "boot", "workloads"} & set(wanted)
        iso = choose(PRODUCTS[0], opt_values["iso"]) if of_iso else Path()
        media = {"iso": iso}
        if "boot" in wanted and any(setup.medium == "disk" for setup in setups):
            media["disk"] = choose(named(PRODUCTS, "disk-image"), "")
        for part in wanted:
            if part == "sizes":
                parts.bench_sizes(iso)
            elif part == "config":
                parts.bench_configs(choose(named(PRODUCTS, STUB.task("iso")), ""), opt_values["repeat"])
            elif part == "update":
                build("initramfs", "initramfs-next")
                parts.bench_updates(TARGET, NEXT)
            elif part == "live":
                with tempfile.TemporaryDirectory(prefix="kubesolo-bench-") as folder:
                    seed = Path(folder, "seed.iso")
                    liveseed.write_seed(liveseed.Seed().user_data(), {}, seed, TARGET.epoch)
                    parts.bench_live(choose(named(PRODUCTS, "live-iso"), ""), seed)
            elif part == "workloads":
                settings = workloads.Settings(opt_values["cycles"], opt_values["idle"])
                parts.bench_workloads(
                    iso, opt_values["only"], settings, again=opt_values["again"], kvm=opt_values["kvm"]
                )
            elif part == "boot":
                parts.bench_boots(media, setups, opt_values["repeat"], kvm=opt_values["kvm"])
            else:
                parts.OTHERS[part]()
        print(f"bench: the tables in docs/ are up to date; raw results are in {report.RESULTS}")
        return 0
