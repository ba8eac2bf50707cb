"""What `./doit conformance` makes of the suite's answers, whose shapes were recorded from the real one."""

from __future__ import annotations

import json
import re
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tasks import conformance, payload
from tasks.commands.conformance import Plugin
from tasks.lib.conformance import reports
from tasks.lib.conformance.schedule import Schedule
from tasks.lib.conformance.specs import chosen, escaped, focus_options, parse_list, parted
from tasks.lib.conformance.suite import Batch, Suite
from tasks.lib.conformance.verdicts import FAILED, PASSED, SKIPPED, Verdict, Verdicts, summary, write_junit
from tasks.lib.errors import BuildError
from tasks.lib.vm.kube import Cluster

RECORDED = Path(__file__).parent / "conformance"
POD = "[sig-node] Pods should get a host IP [NodeConformance] [Conformance]"
DNS = "[sig-network] DNS should provide DNS for services [Conformance]"
TAINT = "[sig-node] NoExecuteTaintManager removes pods (a+b) [Disruptive] [Conformance]"
OTHER = "[sig-apps] CronJob should be able to schedule after more than 100 missed schedule"
VERSION = "1.36.3"


def test_specs_are_listed() -> None:
    names = parse_list((RECORDED / "list-tests.txt").read_text())
    assert names == sorted(set(names))
    assert all(name.startswith("[sig-") for name in names)
    assert any("[Conformance]" in name for name in names)


def test_a_list_without_specs_is_refused() -> None:
    with pytest.raises(BuildError, match="lists no specs: panic"):
        parse_list("panic: oh\n")


def test_specs_are_chosen_by_name() -> None:
    names = [POD, DNS, TAINT, OTHER]
    assert chosen(names, r"\[Conformance\]", "") == [POD, DNS, TAINT]
    assert chosen(names, "sig-n", "DNS") == [POD, TAINT]
    with pytest.raises(BuildError, match="no spec"):
        chosen(names, "nothing", "")
    with pytest.raises(BuildError, match=r"--skip \(: no regular expression"):
        chosen(names, "", "(")


def test_what_disturbs_others_runs_alone() -> None:
    assert parted([POD, TAINT, DNS]) == ([POD, DNS], [TAINT])


def test_a_name_is_matched_as_it_is() -> None:
    """By Python's regular expressions as by Go's: only what both take for special is escaped."""
    for name in (POD, DNS, TAINT):
        assert re.search(escaped(name) + "$", "Kubernetes e2e suite " + name)
    assert focus_options([TAINT]) == [
        r"--ginkgo.focus= \[sig-node\] NoExecuteTaintManager removes pods \(a\+b\) \[Disruptive\] "
        r"\[Conformance\]$"
    ]


def entry(name: str, state: str, message: str = "", kind: str = "It") -> dict[str, object]:
    container, _, leaf = name.partition(" ")
    made: dict[str, object] = {
        "ContainerHierarchyTexts": [container], "LeafNodeText": leaf, "LeafNodeType": kind, "State": state,
        "RunTime": 2_500_000_000,
    }  # fmt: skip
    return made | ({"Failure": {"Message": message}} if message else {})


def write_report(path: Path, *entries: dict[str, object]) -> Path:
    path.write_text(json.dumps([{"SuiteDescription": "Kubernetes e2e suite", "SpecReports": entries}]))
    return path


def test_a_report_of_the_real_suite_is_read() -> None:
    expected = json.loads((RECORDED / "expected.json").read_text())
    found = reports.read(RECORDED / "report.json", expected)
    assert {name: verdict.state for name, verdict in found.items()} == expected
    for verdict in found.values():
        assert bool(verdict.reason) == (verdict.state != PASSED)


def test_a_report_is_left_with_what_was_run(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    report.write_bytes((RECORDED / "report.json").read_bytes())
    expected = json.loads((RECORDED / "expected.json").read_text())
    before = json.loads(report.read_text())[0]["SpecReports"]
    reports.shrink(report)
    after = json.loads(report.read_text())[0]["SpecReports"]
    assert len(after) == len(before) - 1, "one was not asked for"
    assert list(reports.read(report, expected)) == list(expected)


def test_verdicts_have_reasons(tmp_path: Path) -> None:
    report = write_report(
        tmp_path / "r.json",
        entry(POD, "passed"),
        entry(DNS, "failed", "\x1b[38;5;9mtimed out\x1b[0m\n  waiting"),
        entry(TAINT, "skipped", "Requires 2 nodes"),
        entry(OTHER, "skipped"),
    )
    assert reports.read(report, [POD, DNS, TAINT, OTHER]) == {
        POD: Verdict(PASSED, 2.5),
        DNS: Verdict(FAILED, 2.5, "timed out waiting"),
        TAINT: Verdict(SKIPPED, 2.5, "Requires 2 nodes"),
    }


def test_what_was_stopped_has_no_verdict(tmp_path: Path) -> None:
    report = write_report(
        tmp_path / "r.json", entry(POD, "passed"), entry(DNS, "interrupted", "Interrupted by User")
    )
    assert list(reports.read(report, [POD, DNS])) == [POD]


@pytest.mark.parametrize("text", ["", "[", "{}", "[1]"])
def test_a_torn_report_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "r.json").write_text(text)
    with pytest.raises(BuildError, match="no report"):
        reports.read(tmp_path / "r.json", [POD])


def test_a_suite_that_can_not_begin_says_why(tmp_path: Path) -> None:
    failed = entry("[setup] suite", "failed", "no nodes are ready", "SynchronizedBeforeSuite")
    report = write_report(tmp_path / "r.json", failed, entry(POD, "skipped"))
    with pytest.raises(BuildError, match="SynchronizedBeforeSuite: no nodes are ready"):
        reports.read(report, [POD])


def test_verdicts_outlive_the_process(tmp_path: Path) -> None:
    path = tmp_path / "verdicts.json"
    Verdicts(path, VERSION).add({POD: Verdict(PASSED, 1), DNS: Verdict(FAILED, 2, "late")})
    again = Verdicts(path, VERSION)
    assert again.missing([POD, DNS, TAINT]) == [TAINT]
    assert again.missing([POD, DNS, TAINT], again=True) == [DNS, TAINT]
    again.add({DNS: Verdict(PASSED, 3)})
    assert Verdicts(path, VERSION).found == {POD: Verdict(PASSED, 1), DNS: Verdict(PASSED, 3)}


@pytest.mark.parametrize(
    ("text", "why"),
    [("{", "damaged"), ('{"version": "1.0.0", "specs": {}}', "verdicts of 1.0.0, not 1.36.3")],
)
def test_verdicts_of_another_kind_are_refused(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "verdicts.json").write_text(text)
    with pytest.raises(BuildError, match=why):
        Verdicts(tmp_path / "verdicts.json", VERSION)


def test_the_summary_counts_what_was_not_run() -> None:
    found = {
        POD: Verdict(PASSED, 1),
        DNS: Verdict(FAILED, 2, "late"),
        OTHER: Verdict(FAILED, 1, "not asked for"),
    }
    assert summary([POD, DNS, TAINT], found) == (
        f"failed: {DNS}\n    late\n1 passed, 1 failed, 0 skipped, 1 not run, of 3"
    )


def test_junit_has_every_verdict(tmp_path: Path) -> None:
    out = tmp_path / "junit.xml"
    write_junit(
        out, {POD: Verdict(PASSED, 1), DNS: Verdict(FAILED, 2, "a <b> \x00"), TAINT: Verdict(SKIPPED, 0, "c")}
    )
    suite = ElementTree.parse(out).getroot()
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("3", "1", "1")
    failures = {case.get("name"): fault.get("message") for case in suite for fault in case.iter("failure")}
    assert failures == {DNS: "a <b> "}


# Does with its options what the suite does: a report of the specs that are named, "slow" ones after a signal.
FAKE = r"""#!@python@
import json, re, signal, sys, time
names = [word.split("= ", 1)[1] for word in sys.argv if word.startswith("--ginkgo.focus=")]
names = [re.sub(r"\\(.)", r"\1", name[:-1]) for name in names]
out = next(word.split("=", 1)[1] for word in sys.argv if word.startswith("--ginkgo.json-report="))
stopped = []
signal.signal(signal.SIGINT, lambda *_: stopped.append(1))
entries = []
for name in names:
    while "slow" in name and not stopped:
        time.sleep(0.01)
    state = "interrupted" if stopped else "passed"
    entries.append({"LeafNodeText": name[8:], "ContainerHierarchyTexts": [name[:7]], "LeafNodeType": "It",
                    "State": state, "RunTime": 0})
open(out, "w").write(json.dumps([{"SpecReports": entries}]))
"""


class FakeCluster(Cluster):
    """Has the namespaces that a test gives it; knows what was deleted."""

    def __init__(self) -> None:
        self.namespaces: list[str] = []
        self.deleted: list[str] = []

    def get(self, path: str, **parameters: str) -> dict[str, object]:
        return {"items": [{"metadata": {"name": name}} for name in self.namespaces]}

    def request(self, method: str, path: str, **kwargs: object) -> None:  # type: ignore[override]
        self.deleted.append(path)


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    program = tmp_path / "e2e.test"
    program.write_text(FAKE.replace("@python@", sys.executable))
    program.chmod(0o755)
    folder = tmp_path / "reports"
    folder.mkdir()
    return Suite(program, tmp_path, tmp_path, tmp_path, folder)


def schedule(suite: Suite, folder: Path, until: float = float("inf")) -> tuple[Schedule, list[str]]:
    said: list[str] = []
    verdicts = Verdicts(folder / "verdicts.json", VERSION)
    made = Schedule(suite, FakeCluster(), verdicts, lambda name, verdict: said.append(name), until)
    return made, said


def test_batches_run_to_the_end(suite: Suite, tmp_path: Path) -> None:
    made, said = schedule(suite, tmp_path)
    names = [f"[sig-x] number {number} (a+b)" for number in range(12)]
    made.run(names, 2)
    assert sorted(said) == sorted(names)
    assert made.verdicts.missing(names) == []
    assert len(list(suite.folder.iterdir())) == 4


def test_nothing_begins_when_the_time_is_over(suite: Suite, tmp_path: Path) -> None:
    made, said = schedule(suite, tmp_path, time.monotonic())
    made.run([POD], 2)
    assert said == []


def test_a_stop_keeps_what_is_done(suite: Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is interrupted has no verdict, so that it is run the next time."""
    made, _ = schedule(suite, tmp_path)

    collect = made._collect

    def stop(*, clear: bool = True) -> None:
        if clear:
            raise KeyboardInterrupt
        collect(clear=False)

    monkeypatch.setattr(made, "_collect", stop)
    with pytest.raises(KeyboardInterrupt):
        made.run(["[sig-x] quick", "[sig-x] slow"], 1)
    kept = Verdicts(tmp_path / "verdicts.json", VERSION)
    assert kept.missing(["[sig-x] slow"]) == ["[sig-x] slow"]
    assert not made.running


def test_what_batches_leave_is_cleared_away_when_nobody_can_use_it(suite: Suite, tmp_path: Path) -> None:
    made, _ = schedule(suite, tmp_path)
    cluster = made.cluster
    assert isinstance(cluster, FakeCluster)
    cluster.namespaces = ["old", "new"]
    batch = Batch(suite, [POD], 0)
    made.running = {batch: {"old"}}
    made._clear()
    assert {path.split("/namespaces/")[1].split("/")[0] for path in cluster.deleted} == {"old"}
    made.running = {}
    made._clear()
    assert {path.split("/namespaces/")[1].split("/")[0] for path in cluster.deleted} == {"old", "new"}
    batch.end()


def test_a_suite_that_never_begins_is_given_up(suite: Suite, tmp_path: Path) -> None:
    suite.program.write_text("#!/bin/sh\necho no cluster\nexit 1\n")
    made, _ = schedule(suite, tmp_path)
    with pytest.raises(BuildError, match="no cluster"):
        made.run([f"spec {number}" for number in range(40)], 2)


def test_the_suite_is_the_payloads_version() -> None:
    conformance.check_version(conformance.MODULE / "go.mod")
    assert dict(conformance.VERSION)[f"{payload.VERSION_PACKAGE}.gitVersion"] == f"v{payload.KUBERNETES}"


def test_images_have_the_names_that_the_suite_asks_for() -> None:
    """Those below the tests' own registry in what `e2e.test --list-images` prints; not all are needed."""
    wanted = (RECORDED / "list-images.txt").read_text().split()
    made = {f"{conformance.REPOSITORY}/{name}:{tag}" for name, tag in conformance.names()}
    assert made <= set(wanted)
    assert len(made) == len(conformance.names())


def test_another_version_is_refused(tmp_path: Path) -> None:
    go_mod = tmp_path / "go.mod"
    go_mod.write_text("module x\n\nrequire k8s.io/kubernetes v1.35.0\n")
    with pytest.raises(BuildError, match=r"the suite is 1\.35\.0"):
        conformance.check_version(go_mod)


@pytest.mark.parametrize(
    "words", [["--again"], ["--parallel", "0"], ["--memory", "64"], ["--kubeconfig", "/no"]]
)
def test_options_that_make_no_sense_are_refused(words: list[str]) -> None:
    plugin = Plugin()  # type: ignore[no-untyped-call]
    plugin.name = "conformance"
    with pytest.raises(BuildError):
        plugin.parse_execute(words)
