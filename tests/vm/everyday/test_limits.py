"""Limits are enforced, and containers are kept in their place."""

from __future__ import annotations

import re

import pytest

from tests.vm.everyday.conftest import MACHINE_SECONDS, Everyday
from tests.vm.everyday.test_lives import container

pytestmark = [pytest.mark.long, pytest.mark.timeout(MACHINE_SECONDS)]

WHOLE_RANGE = 4294967295
WATCHED_SECONDS = 10
# A tenth of a processor, with what the guest's clock is worth under emulation.
SHARE = 0.1 * 1.5


def test_memory_over_the_limit_is_killed(everyday: Everyday) -> None:
    pod = everyday.wait_pod("hungry", lambda pod: "terminated" in container(pod).get("state", {}), "ended")
    ended = container(pod)["state"]["terminated"]
    assert (ended["reason"], ended["exitCode"]) == ("OOMKilled", 137)


def test_processor_time_is_limited(everyday: Everyday) -> None:
    everyday.wait_pod("throttled", lambda pod: pod["status"]["phase"] == "Running", "runs")
    script = "read -r up rest </proc/uptime; echo up $up; cat /sys/fs/cgroup/cpu.stat"
    before, after = (
        numbers(everyday.shell("throttled", text)) for text in (script, f"sleep {WATCHED_SECONDS}; {script}")
    )
    used = (after["usage_usec"] - before["usage_usec"]) / 1e6
    assert after["nr_throttled"] > before["nr_throttled"]
    assert used < (after["up"] - before["up"]) * SHARE, (before, after)
    everyday.kubectl("delete", "pod", "throttled", "--wait=false")


def numbers(text: str) -> dict[str, float]:
    """Lines of a name and a number."""
    return {name: float(value) for name, value in re.findall(r"^(\w+) ([\d.]+)$", text, re.MULTILINE)}


def test_a_volume_in_memory_is_limited(everyday: Everyday) -> None:
    assert "No space left on device" in everyday.output("many")


def test_a_read_only_root_refuses_writes(everyday: Everyday) -> None:
    lines = everyday.output("read-only").splitlines()
    assert lines[0] == "tmp"
    assert [line.endswith("Read-only file system") for line in lines[1:]] == [True, True], lines


def test_root_in_a_user_namespace_is_nobody_on_the_node(everyday: Everyday) -> None:
    uid, listed, mapped = everyday.output("user-namespace").splitlines()
    assert uid == "0"
    assert listed.split()[2:4] == ["0", "0"], "files of a volume are the pod's own"
    inside, outside, length = map(int, mapped.split())
    assert inside == 0
    assert outside >= 65536
    assert length < WHOLE_RANGE


def test_users_groups_and_capabilities(everyday: Everyday) -> None:
    output = everyday.output("nobody")
    assert re.match(r"uid=1234 gid=2345 groups=\S*\b3456\b", output), output
    assert re.search(r"^drwxrwsrwx .* 0 +3456 ", output, re.MULTILINE), output
    status = dict(re.findall(r"^(\w+):\t(.*)$", output, re.MULTILINE))
    assert status["NoNewPrivs"] == "1"
    assert int(status["CapBnd"], 16) == int(status["CapEff"], 16) == 0


def test_root_is_refused_where_it_is_not_wanted(everyday: Everyday) -> None:
    pod = everyday.wait_pod(
        "root-not-wanted",
        lambda pod: (
            container(pod).get("state", {}).get("waiting", {}).get("reason") == "CreateContainerConfigError"
        ),
        "refused",
    )
    assert "runAsNonRoot" in container(pod)["state"]["waiting"]["message"]
    everyday.kubectl("delete", "pod", "root-not-wanted", "--wait=false")


def test_system_calls_are_filtered_as_asked(everyday: Everyday) -> None:
    assert everyday.output("system-calls", "default").split()[:2] == ["Seccomp:", "2"]
    assert everyday.output("system-calls", "unconfined").split()[:2] == ["Seccomp:", "0"]


def test_a_filter_of_the_users_own(everyday: Everyday) -> None:
    touched, refused = everyday.output("own-filter").splitlines()
    assert touched == "touched"
    assert "Operation not permitted" in refused


def test_apparmor_profiles(everyday: Everyday) -> None:
    """Unconfined always runs. The runtime's profile is in force, or the pod is refused with the reason: it
    never runs as if it were confined."""
    assert everyday.output("apparmor-unconfined").strip() in ("none", "unconfined")
    pod = everyday.wait_pod(
        "apparmor-default", lambda pod: pod["status"].get("phase") in ("Succeeded", "Failed"), "ended"
    )
    if pod["status"]["phase"] == "Failed":
        assert pod["status"].get("reason") == "AppArmor", pod["status"]
    else:
        assert everyday.output("apparmor-default").strip() == "cri-containerd.apparmor.d (enforce)"
