from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tasks.lib.bench import boots, builds, cold, configs, graph, live, parts, report, sizes, writes
from tasks.lib.errors import BuildError
from tasks.lib.paths import TOP

MILESTONES = {
    "init-start": 1.5, "stage-90-kubesolo": 6.0, "apiserver-listening": 12.0, "node-ready": 18.0,
    "readyz": 22.0, "kube-proxy-synced": 25.0, "coredns-running": 30.0,
}  # fmt: skip


def boot(ready: float, order: str = "first") -> boots.Boot:
    return boots.Boot("bios", 1024, order, 12.5, {**MILESTONES, "node-ready": ready}, 300 * 1024, 80 * 1024)


def test_section_is_replaced_and_nothing_else() -> None:
    text = "a\n<!-- x -->\nold\nold\n<!-- /x -->\n<!-- y -->\nkept\n<!-- /y -->\nb\n"
    new = report.replace_section(text, "x", "\nnew \\1\n")
    assert new == "a\n<!-- x -->\nnew \\1\n<!-- /x -->\n<!-- y -->\nkept\n<!-- /y -->\nb\n"
    with pytest.raises(BuildError, match="0 sections z"):
        report.replace_section(text, "z", "")


@pytest.mark.parametrize("name", ["sizes", "boot", "build", "cold"])
def test_document_has_every_section(name: str) -> None:
    report.replace_section(report.DOCUMENT.read_text(), name, "x")


def test_the_live_cds_tables() -> None:
    boots = [live.LiveBoot("bios", "first", 33.25, 28.0), live.LiveBoot("uefi", "second", 30.0, 24.5)]
    text = live.describe({"": 350_000_000, "/boot/live-base.squashfs": 90_000_000, "/x": 5}, boots)
    assert "| `/boot/live-base.squashfs` | 90.0 |" in text
    assert "| **the ISO** (goal: < 400) | **350.0** |" in text
    assert "|  | goal | BIOS, first | UEFI, second |" in text
    assert "wall clock (s) | < 35 | 33.2 | 30.0 |" in text
    report.replace_section(parts.LIVE_DOCUMENT.read_text(), "live", text)


def test_sizes_add_up() -> None:
    text = sizes.describe_sizes({"": 90_000_000, "/boot/a": 60_000_000, "/boot/b": 29_000_000, "/c": 5_000})
    assert "| `/boot/a` | 60.00 |" in text
    assert "1 smaller files, file system, partition tables | 1.00" in text
    assert "**90.00**" in text
    assert text.index("/boot/a") < text.index("/boot/b")


def test_not_an_iso(tmp_path: Path) -> None:
    (tmp_path / "x.iso").write_bytes(b"x" * 100_000)
    for name in ("x.iso", "missing.iso"):
        with pytest.raises(BuildError, match=name):
            sizes.measure_sizes(tmp_path / name)


def test_boot_table_shows_medians_and_memory_both_ways() -> None:
    text = boots.describe_boots([boot(18), boot(30), boot(19), boot(17, "second")])
    rows = {line.split(" | ")[0].strip("| "): line.strip("| ").split(" | ")[1:] for line in text.splitlines()}
    assert rows["node condition Ready (s)"] == ["< 30", "19.0", "17.0"]
    assert rows["memory in use, less root images (MiB)"][1] == "220.0"
    assert rows["memory in use, all (MiB)"][1] == "300.0"


def test_median_of_two_is_the_worse() -> None:
    assert boots.median([1.0, 2.0]) == 2.0


def test_setups_by_name() -> None:
    assert boots.chosen_setups("disk-bios-1024") == (boots.Setup("bios", 1024, "disk"),)
    assert boots.chosen_setups("uefi-512,bios-1024") == (boots.Setup("uefi", 512), boots.Setup("bios", 1024))
    assert len(boots.chosen_setups("")) == 6
    with pytest.raises(BuildError, match="bios-1"):
        boots.chosen_setups("bios-1")


def test_edited_files_exist() -> None:
    assert all((TOP / edit.path).is_file() for edit in builds.EDITS)


def test_plain_doit_makes_the_graph_once(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "doit"]
    source, part, product = (tmp_path / name for name in ("source", "part", "product"))
    source.write_text("x")
    rules = [
        graph.Rule((str(part),), (str(product),)),
        graph.Rule((str(source),), (str(part), str(tmp_path / "part2"))),
    ]
    graph.write_doit(rules, tmp_path)
    subprocess.run(argv, cwd=tmp_path, check=True, capture_output=True)
    made = product.stat().st_mtime_ns
    subprocess.run(argv, cwd=tmp_path, check=True, capture_output=True)
    assert product.stat().st_mtime_ns == made


def test_graph_of_this_checkout() -> None:
    rules = graph.read_rules(TOP)
    targets = {target for rule in rules for target in rule.targets}
    assert any(target.endswith(".iso") for target in targets)
    assert str(TOP / "init/init") in {path for rule in rules for path in rule.inputs}


def test_longest_chain_leaves_out_what_was_not_built() -> None:
    rules = [
        graph.Rule((), ("a",), "a"),
        graph.Rule(("source",), ("b", "b2"), "b"),
        graph.Rule(("a", "b", "b2"), ("c",), "c"),
        graph.Rule(("a",), ("other",), "not built"),
    ]
    assert graph.longest_chain(rules, {"a": 5.0, "b": 3.0, "c": 1.0}) == (6.0, ["a", "c"])
    assert graph.longest_chain(rules, {"a": 5.0, "b": 7.0, "c": 1.0}) == (8.0, ["b", "c"])
    assert graph.longest_chain([], {}) == (0.0, [])


def test_cold_table_compares_with_the_larger_bound() -> None:
    text = cold.describe_cold(cold.Figures(100, 10, 105, 12, 300, 500, 2, 200, ["payload", "iso"]))
    assert "| compile cache empty | 100.0 | 105.0 | 1.05 | < 1.1 |" in text
    assert "payload → iso | 200 |" in text
    assert "1.20 |" in text, "300 s against 500 s on two cores"


def test_writes_are_read_from_what_go_prints() -> None:
    text = """goos: linux
BenchmarkConfirmedWrites/together/FULL/1-2         \ttime="1" level=info msg="Startup VACUUM"
time="2" level=info msg="Closing database connections..."
     669\t   1861045 ns/op\t       537.3 writes/s
BenchmarkConfirmedWrites/together/FULL/32-2        \t     669\t   1861045 ns/op\t       709.0 writes/s
BenchmarkConfirmedWrites/alone/NORMAL/1            \t     669\t    511045 ns/op\t      1954 writes/s
PASS
"""
    assert writes.ROW.findall(text) == [
        ("together/FULL", "1", "537.3"),
        ("together/FULL", "32", "709.0"),
        ("alone/NORMAL", "1", "1954"),
    ]


def test_what_a_configuration_costs_is_told_from_what_a_boot_costs() -> None:
    def seconds(stage_40: float, stage_45: float, last: float) -> dict[str, float]:
        return {"stage-40-sysctl": stage_40, "stage-45-cloud-init": stage_45, boots.LAST_STAGE: last}

    found = {
        "without first": [seconds(3, 3.1, 5), seconds(3, 3.1, 5.2), seconds(3, 3.1, 9)],
        "with first": [seconds(3, 3.5, 6), seconds(3, 3.75, 6.1), seconds(3, 4, 30)],
        "without second": [seconds(3, 3.1, 5)],
        "with second": [seconds(3, 3.2, 5.1)],
    }
    rows = configs.describe_configs(found).splitlines()
    assert rows[2] == "| first | 5.20 | 6.10 | +0.90 | < 1.0 | 0.75 |"
    assert rows[3] == "| second | 5.00 | 5.10 | +0.10 | < 0.2 | 0.20 |"
