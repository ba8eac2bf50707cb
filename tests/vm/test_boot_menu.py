"""The boot menu of the ISO: shown on the serial line, and never a reason to wait for ever."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Literal

import pytest

from tasks.lib.boot.menu import ENTRIES
from tasks.lib.errors import BuildError
from tasks.lib.vm.hardware import Hardware
from tasks.lib.vm.machine import Machine
from tests.vm.conftest import Start
from tests.vm.node import stretched

MENU_SECONDS = 60
MACHINE_SECONDS = 500
# The machine starts within 30 s, and the kernel needs a moment to say something.
STARTED_SECONDS = 60
LAST_OF_MENU = ENTRIES[-1].title
KERNEL_SAYS = "[kubesolo-init]"

pytestmark = pytest.mark.timeout(MACHINE_SECONDS + 30)


def at_menu(start: Start, hardware: Hardware) -> Machine:
    machine = start(hardware, MACHINE_SECONDS)
    machine.serial.wait(LAST_OF_MENU, stretched(MENU_SECONDS))
    return machine


def noise(machine: Machine, seconds: float) -> None:
    """What a line without anybody at its end may bring: bytes of all kinds, again and again."""
    source = random.Random(10)
    end = time.monotonic() + seconds
    while time.monotonic() < end and not machine.serial.seen(KERNEL_SAYS):
        try:
            machine.serial.send("".join(chr(source.randrange(1, 127)) for _ in range(3)))
        except (OSError, BuildError):
            return
        time.sleep(0.2)


@pytest.mark.parametrize("firmware", ["bios", "uefi"])
def test_line_noise_and_keys_do_not_hold_the_machine(
    start: Start, stub_iso: Path, firmware: Literal["bios", "uefi"]
) -> None:
    hardware = Hardware(cdrom=stub_iso, firmware=firmware, memory=512)
    machine = at_menu(start, hardware)
    for label in [entry.label for entry in ENTRIES]:
        assert f" {label} " in machine.serial.text().replace("\n", " \n ")
    machine.type_text("e")
    noise(machine, stretched(STARTED_SECONDS))
    machine.serial.wait(KERNEL_SAYS, stretched(STARTED_SECONDS))


@pytest.mark.long
def test_grub_starts_another_entry_when_it_is_chosen_and_confirmed(start: Start, stub_iso: Path) -> None:
    machine = at_menu(start, Hardware(cdrom=stub_iso, firmware="uefi", memory=512))
    for key, answer in (("\t", "seconds to choose"), ("s", "press y within")):
        machine.serial.send(key)
        machine.serial.wait(answer, MENU_SECONDS)
    machine.serial.send("y")
    machine.serial.wait("kubesolo-emergency#", stretched(STARTED_SECONDS))
