"""What live-vm starts, as a person at a terminal sees it; not in the folder of a developer's disk."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks import liveseed
from tasks.lib.vm import livevm
from tests.vm import live
from tests.vm.node import stretched
from tests.vm.person import Person

SECONDS = 1800
# As the command does it, with another folder and disk.
RUN = """
import sys
from pathlib import Path
from tasks.lib.vm.accel import EMULATION
from tasks.lib.vm.livevm import Setup, run_machines

folder, iso, seed = map(Path, sys.argv[1:4])
run_machines(Setup(iso, 2048, 2, 12288), [seed], EMULATION, folder)
print("ended in order")
"""

pytestmark = [pytest.mark.long, pytest.mark.timeout(SECONDS)]


@pytest.fixture
def person(live_iso: Path, tmp_path: Path) -> Iterator[Person]:
    seed = tmp_path / "seed.iso"
    liveseed.write_seed(liveseed.Seed("desk").user_data(), {}, seed, live.EPOCH)
    someone = Person([sys.executable, "-c", RUN, tmp_path, live_iso, seed])
    yield someone
    someone.leave()


def test_root_logs_in_and_control_c_presses_the_power_button(person: Person, tmp_path: Path) -> None:
    person.read_until("ssh -p ", stretched(20))
    person.read_until("desk login: ", stretched(live.LOGIN_SECONDS))
    assert livevm.running(tmp_path)
    person.press_until("root\r", "Password: ", stretched(60))
    person.press("root\r")
    person.read_until(":~#", stretched(60))
    person.press("echo $((6 * 7))-typed\r")
    person.read_until("42-typed", stretched(20))
    person.press("\x03")
    assert person.wait_end(stretched(livevm.POWEROFF_SECONDS)) == 0
    assert "ended in order" in person.text
    assert "could not be unmounted" not in person.text
    assert livevm.running(tmp_path) == 0
    assert livevm.disk(tmp_path, 1).is_file()
