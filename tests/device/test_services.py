"""Services of the running node: started beside each other, and again when they die."""

from __future__ import annotations

import os
import time

import pytest

from tests.device.fakeroot import DEADLINE, FakeRoot
from tests.device.test_scripts import background


def keep(root: FakeRoot, body: str) -> str:
    """Run a service with this body under the keeper, until it ends with status 0; returns the log."""
    root.write("run/kubesolo/boot.log", "")
    root.program("service", 'echo x >>"$ROOT/starts"\nread -r up _ <"$ROOT/proc/uptime"\n' + body)
    result = root.script("keep", str(root.path / "service"))
    assert result.returncode == 0, result.stderr
    return root.read("run/kubesolo/boot.log")


def test_service_that_dies_is_started_again_with_growing_pauses(root: FakeRoot) -> None:
    log = keep(root, '[ "${up%.*}" -lt 300 ] || exit 0\nkill -9 $$\n')
    # 1 + 2 + 4 + ... 32 s, then 60 s each.
    assert 9 <= len(root.read("starts").splitlines()) <= 12
    assert "[WARN] service has died (status 137); started again in 1 s" in log
    assert log.count("has died") == 3, "not a line a minute for ever"


def test_service_that_has_nothing_to_do_is_left_alone(root: FakeRoot) -> None:
    assert keep(root, "exit 0\n") == ""
    assert root.read("starts") == "x\n"


def test_pause_is_short_again_after_a_healthy_minute(root: FakeRoot) -> None:
    body = 'echo "$((${up%.*} + 70)).00 0" >"$ROOT/proc/uptime"\n[ "${up%.*}" -lt 400 ] || exit 0\nexit 1\n'
    assert keep(root, body).count("in 1 s") == 3


TAKEN = """
    . "$ROOT/usr/lib/kubesolo-os/functions.sh"
    mkdir -p "$ROOT/proc/$$"
    echo "$$ (my) name) S 1 1 1 0 -1 1 1 1 1 1 1 1 1 1 20 0 1 0 7000 1 1 1" >"$ROOT/proc/$$/stat"
    run_as_one example && echo taken
"""


@pytest.mark.parametrize(("since", "said"), [("5000", ""), ("4000", "taken\n")])
def test_number_that_was_given_out_again_is_another_process(root: FakeRoot, since: str, said: str) -> None:
    number = os.getpid()
    root.write(f"proc/{number}/stat", f"{number} (sh) S" + " 1" * 18 + " 5000 1 1\n")
    root.write("run/kubesolo/example.pid", f"{number}\n{since}\n")
    assert root.shell(TAKEN).stdout == said
    assert (root.read("run/kubesolo/example.pid").splitlines()[-1] == "7000") == bool(said)


def test_services_are_started_beside_each_other(root: FakeRoot) -> None:
    for path in (root.path / "usr/lib/kubesolo-os/init.d").iterdir():
        path.unlink()
    root.program("usr/lib/kubesolo-os/init.d/10-slow", 'read -r _ <>"${0%/*}/never"\n')
    root.program("usr/lib/kubesolo-os/init.d/20-quick", ': >"${0%/*}/../quick-ran"\n')
    root.write("usr/lib/kubesolo-os/init.d/30-no-program", "")
    os.mkfifo(root.path / "usr/lib/kubesolo-os/init.d/never")
    with background(root, "start-services"):
        deadline = time.monotonic() + DEADLINE
        while not (root.path / "usr/lib/kubesolo-os/quick-ran").exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
