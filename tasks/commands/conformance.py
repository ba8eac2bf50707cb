"""Kubernetes' own end-to-end tests against a node."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tasks.lib.conformance.node import node, wait_images
from tasks.lib.conformance.schedule import Schedule
from tasks.lib.conformance.specs import CONFORMANCE, chosen, parted
from tasks.lib.conformance.suite import Suite, list_specs
from tasks.lib.conformance.verdicts import FAILED, Verdict, Verdicts, summary, write_junit
from tasks.lib.engine.command import Command, option
from tasks.lib.engine.main import build
from tasks.lib.errors import BuildError
from tasks.lib.paths import BUILD
from tasks.lib.release.product import choose
from tasks.lib.vm.kube import Cluster

FOLDER = BUILD / "conformance"


class Plugin(Command):
    """Run conformance tests."""

    doc_purpose = "run Kubernetes' own end-to-end tests against a node in QEMU"
    doc_description = """\
Compiles the end-to-end tests of the payload's version of Kubernetes, starts the ISO in a virtual machine with
the tests' images, and runs those specs whose names match --focus and not --skip, by default all of
[Conformance]: --parallel at a time, at last and one by one those that are [Serial] or [Disruptive]. Under
emulation that takes hours: --minutes ends a run early, as Ctrl-C does, and --resume goes on with the specs
that have no verdict yet.

Verdicts are in build/conformance/verdicts.json and junit.xml, each batch's own reports and log in
build/conformance/reports/. The exit status is 1 when a chosen spec has failed or was not run.
docs/conformance.md has the results, and why specs fail.
"""
    cmd_options = (
        option("focus", CONFORMANCE, "run specs whose names match this regular expression"),
        option("skip", "", "but not those that match this one"),
        option("resume", False, "keep earlier verdicts, run what has none"),
        option("again", False, "with --resume: also what has failed"),
        option("list", False, "only list the specs, with their verdicts"),
        option("parallel", 2, "how many specs run side by side"),
        option("minutes", 0, "begin nothing new after so many minutes [default: no limit]"),
        option("memory", 3072, "memory of the virtual machine in MiB"),
        option("cpus", 2, "its number of CPUs"),
        option("iso", "", "another ISO"),
        option("kubeconfig", "", "another node, which has the images, instead of a virtual machine"),
    )

    def execute(self, opt_values: Any, pos_args: list[str]) -> int:
        """Build, choose, run, and say what became of it.

        Raises BuildError for options that make no sense, and when the node or the suite does not start.
        """
        from tasks import conformance, payload

        check(opt_values)
        build("conformance-suite")
        names = list_specs(conformance.suite(), conformance.REGISTRIES)
        names = chosen(names, opt_values["focus"], opt_values["skip"])
        verdicts = kept_verdicts(payload.KUBERNETES, keep=opt_values["resume"] or opt_values["list"])
        if opt_values["list"]:
            for name in names:
                print(f"{verdicts.found[name].state if name in verdicts.found else '-':8}{name}")
            return 0
        left = verdicts.missing(names, again=opt_values["again"])
        try:
            if left:
                self.run(left, verdicts, opt_values)
        finally:
            write_junit(FOLDER / "junit.xml", verdicts.found)
            print(summary(names, verdicts.found))
        found = verdicts.of(names)
        return int(len(found) < len(names) or any(one.state == FAILED for one in found.values()))

    def run(self, names: list[str], verdicts: Verdicts, options: Any) -> None:
        """Run these specs against a node."""
        from dodo import TARGET
        from tasks import conformance, payload

        reports = FOLDER / "reports"
        reports.mkdir(parents=True, exist_ok=True)
        first = max((int(path.name) for path in reports.iterdir()), default=-1) + 1
        with chosen_node(options) as (kubeconfig, cluster):
            wait_images(cluster, f"{conformance.REPOSITORY}/agnhost:{dict(conformance.names())['agnhost']}")
            build(TARGET.task("payload"))
            kubectl = payload.unpack_kubectl(payload.archive(TARGET), FOLDER)
            suite = Suite(conformance.suite(), conformance.REGISTRIES, kubeconfig, kubectl, reports)
            until = time.monotonic() + 60 * options["minutes"] if options["minutes"] else float("inf")
            schedule = Schedule(suite, cluster, verdicts, say, until, first)
            beside, alone = parted(names)
            schedule.run(beside, options["parallel"])
            schedule.run(alone, 1)


def check(options: Any) -> None:
    """Raise BuildError for options that contradict each other or make no sense."""
    if options["again"] and not options["resume"]:
        raise BuildError("conformance: --again needs --resume", "without it, everything is run again anyway")
    for name, least in (("parallel", 1), ("minutes", 0), ("cpus", 1), ("memory", 1024)):
        if options[name] < least:
            raise BuildError(f"conformance: --{name} {options[name]}: {least} at least")
    if options["kubeconfig"] and not Path(options["kubeconfig"]).is_file():
        raise BuildError(f"{options['kubeconfig']}: no such file")


def kept_verdicts(version: str, *, keep: bool) -> Verdicts:
    """Earlier verdicts, or none; what belongs to them goes with them."""
    if not keep:
        for name in ("reports", "verdicts.json", "junit.xml"):
            path = FOLDER / name
            if path.is_dir():
                shutil.rmtree(path)
            path.unlink(missing_ok=True)
    FOLDER.mkdir(parents=True, exist_ok=True)
    return Verdicts(FOLDER / "verdicts.json", version)


@contextlib.contextmanager
def chosen_node(options: Any) -> Iterator[tuple[Path, Cluster]]:
    """The node that is meant: its kubeconfig and its API."""
    from dodo import PRODUCTS, TARGET
    from tasks import conformance
    from tasks.bootset import boot_set

    if given := options["kubeconfig"]:
        path = Path(given).resolve()
        with contextlib.closing(Cluster.of_host(path.read_text())) as cluster:
            yield path, cluster
        return
    iso = choose(PRODUCTS[0], options["iso"])
    build(TARGET.task("conformance-images"))
    kernel, archive = boot_set(TARGET).kernel, conformance.archive(TARGET)
    with node(iso, kernel, archive, FOLDER / "vm", options["memory"], options["cpus"]) as started:
        yield started


def say(name: str, verdict: Verdict) -> None:
    """Show one verdict."""
    print(f"{verdict.state:8}{verdict.seconds:5.0f} s  {name}", flush=True)
    if verdict.reason:
        print(f"{'':17}{verdict.reason}", flush=True)
