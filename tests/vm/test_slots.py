"""Which slot starts: real GRUB and the stub payload, on disks whose slots or boot environment are broken."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest

from agent import grubenv
from tasks.diskimage import LAYOUT
from tasks.lib.debian import tools
from tasks.lib.process import run
from tasks.lib.vm.disks import copy_disk
from tasks.lib.vm.hardware import Hardware
from tasks.lib.vm.machine import Machine
from tests.vm.conftest import Start
from tests.vm.node import stretched, wait_booted, wait_milestones

BOOT_SECONDS = 90
MACHINE_SECONDS = 600
TRIAL = {"active_slot": "B", "boot_counter": "3", "boot_success": "0"}
COMMITTED = {"active_slot": "A", "boot_counter": "3", "boot_success": "1"}

pytestmark = pytest.mark.timeout(MACHINE_SECONDS + 60)


class Disk:
    """A disk image that a test breaks, and reads when its machine is off."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.esp = f"{path}@@{LAYOUT[0].offset}"

    def mtools(self, command: str, *words: str | Path) -> None:
        run(
            [*tools.command("mtools"), "-c", command, "-i", self.esp, *words],
            env={"MTOOLSRC": "/dev/null", "MTOOLS_SKIP_CHECK": "1"},
        )

    def put(self, name: str, content: bytes) -> None:
        """Overwrite a file of the first partition."""
        source = self.path.with_name("put")
        source.write_bytes(content)
        self.mtools("mcopy", "-o", source, f"::/grub/{name}")

    def get(self, name: str) -> bytes:
        target = self.path.with_name("got")
        self.mtools("mcopy", "-n", "-o", f"::/grub/{name}", target)
        return target.read_bytes()

    def environment(self, variables: dict[str, str]) -> None:
        self.put("grubenv", grubenv.render(variables))

    def state(self) -> dict[str, str]:
        return grubenv.parse(self.get("grubenv"))

    def debugfs(self, slot: Literal["A", "B"], *requests: str) -> None:
        """Change the file system of a slot."""
        row = LAYOUT[1 if slot == "A" else 2]
        for request in requests:
            run([*tools.command("debugfs"), "-w", "-R", request, f"{self.path}?offset={row.offset}"])

    def remove(self, slot: Literal["A", "B"], name: str) -> None:
        self.debugfs(slot, f"rm {name}")

    def replace(self, slot: Literal["A", "B"], name: str, content: bytes) -> None:
        source = self.path.with_name("content")
        source.write_bytes(content)
        self.debugfs(slot, f"rm {name}", f"write {source} {name}")


@pytest.fixture
def disk(stub_disk: Path, tmp_path: Path) -> Disk:
    return Disk(copy_disk(stub_disk, tmp_path / "disk.img"))


def slot_of(machine: Machine) -> str:
    """The slot whose root is mounted."""
    rows = (row.split() for row in machine.host.ask("mounts").splitlines())
    device = next(row[0] for row in rows if row[1] == "/run/kubesolo-medium")
    return {"2": "A", "3": "B"}[device[-1]]


def switch_off(machine: Machine) -> None:
    machine.host.ask("poweroff")
    machine.wait_end(stretched(60))


def confirmed(machine: Machine, timeout: float = BOOT_SECONDS) -> None:
    """The boot has reached its end, and the health gate has said so."""
    wait_booted(machine, timeout)
    wait_milestones(machine, ("boot-confirmed",), 60)


@pytest.mark.long
@pytest.mark.parametrize("firmware", ["bios", "uefi"])
def test_a_trial_whose_kernel_panics_starts_three_times_and_then_never(
    start: Start, disk: Disk, stub_initramfs: bytes, firmware: Literal["bios", "uefi"]
) -> None:
    disk.replace("B", "kubesolo-os.gz", stub_initramfs[: len(stub_initramfs) // 2])
    disk.environment(TRIAL)
    machine = start(Hardware(data=disk.path, firmware=firmware), MACHINE_SECONDS)
    confirmed(machine, 5 * BOOT_SECONDS)
    text = machine.serial.text()
    assert text.count("Kernel panic") == 3
    assert "Slot B is given up: trial-not-confirmed" in text
    assert slot_of(machine) == "A"
    switch_off(machine)
    state = disk.state()
    assert {name: state[name] for name in COMMITTED} == COMMITTED
    assert (state["fallback_from"], state["fallback_reason"]) == ("B", "trial-not-confirmed")


@pytest.mark.long
def test_a_good_trial_is_confirmed_and_starts_again(start: Start, disk: Disk) -> None:
    disk.environment(TRIAL)
    machine = start(Hardware(data=disk.path), MACHINE_SECONDS)
    confirmed(machine)
    assert slot_of(machine) == "B"
    switch_off(machine)
    assert disk.state() == {**TRIAL, "boot_success": "1"}
    assert grubenv.parse(disk.get("grubenv.good")) == {"good_slot": "B"}


Break = Callable[[Disk], None]
ZERO = b"\0" * grubenv.SIZE
GOOD_B = grubenv.render({"good_slot": "B"})
TORN = grubenv.render(TRIAL)[: grubenv.SECTOR] + b"\0" * grubenv.SECTOR
FULL = (grubenv.SIGNATURE + b"active_slot=B\nboot_counter=3\nboot_success=0\nnote=").ljust(1023, b"x") + b"\n"


def future(disk: Disk) -> None:
    disk.environment({"active_slot": "B", "boot_counter": "9", "boot_success": "maybe"})


@pytest.mark.parametrize(
    ("damage", "good", "slot"),
    [
        pytest.param(lambda disk: disk.put("grubenv", ZERO), GOOD_B, "B", id="zero"),
        pytest.param(
            lambda disk: disk.put("grubenv", bytes(range(256)) * 4),
            GOOD_B,
            "B",
            id="garbage",
            marks=pytest.mark.long,
        ),
        pytest.param(
            lambda disk: disk.mtools("mdel", "::/grub/grubenv"),
            GOOD_B,
            "B",
            id="missing",
            marks=pytest.mark.long,
        ),
        # Another digit is not longer: GRUB counts all the same.
        pytest.param(lambda disk: disk.put("grubenv", FULL), ZERO, "B", id="full", marks=pytest.mark.long),
        pytest.param(future, GOOD_B, "B", id="future", marks=pytest.mark.long),
        pytest.param(
            lambda disk: disk.put("grubenv", b""), b"", "A", id="both-empty", marks=pytest.mark.long
        ),
    ],
)
def test_a_damaged_environment_starts_the_slot_that_was_good_last(
    start: Start, disk: Disk, damage: Break, good: bytes, slot: str
) -> None:
    damage(disk)
    disk.put("grubenv.good", good)
    machine = start(Hardware(data=disk.path), MACHINE_SECONDS)
    confirmed(machine)
    assert slot_of(machine) == slot
    switch_off(machine)
    state = disk.state()
    assert (state["active_slot"], state["boot_success"]) == (slot, "1")


@pytest.mark.long
def test_a_trial_that_can_not_be_counted_waits_for_a_mended_environment(start: Start, disk: Disk) -> None:
    disk.put("grubenv", TORN)
    machine = start(Hardware(data=disk.path), MACHINE_SECONDS)
    confirmed(machine)
    assert "Slot B is on trial and does not start without it" in machine.serial.text()
    assert slot_of(machine) == "A"
    switch_off(machine)
    assert disk.get("grubenv") == grubenv.render(TRIAL)
    again = start(Hardware(data=disk.path), MACHINE_SECONDS)
    confirmed(again)
    assert slot_of(again) == "B"


@pytest.mark.parametrize("firmware", [pytest.param("bios", marks=pytest.mark.long), "uefi"])
def test_a_slot_without_a_kernel_is_left_at_once(
    start: Start, disk: Disk, firmware: Literal["bios", "uefi"]
) -> None:
    disk.remove("A", "vmlinuz")
    machine = start(Hardware(data=disk.path, firmware=firmware), MACHINE_SECONDS)
    confirmed(machine)
    assert "Slot A is given up: no-kernel" in machine.serial.text()
    assert slot_of(machine) == "B"
    switch_off(machine)
    assert disk.state()["active_slot"] == "B"
    assert disk.state()["fallback_reason"] == "no-kernel"


@pytest.mark.long
def test_a_committed_slot_with_a_flipped_bit_falls_back_and_says_why(start: Start, disk: Disk) -> None:
    row = LAYOUT[1]
    with disk.path.open("r+b") as stream:
        stream.seek(row.offset)
        place = row.offset + stream.read(row.length).index(b"hsqs") + 4096
        stream.seek(place)
        byte = stream.read(1)
        stream.seek(place)
        stream.write(bytes([byte[0] ^ 1]))
    menu = disk.get("grub.cfg").replace(b" panic=10", b" panic=10 kubesolo.shell-seconds=40")
    disk.put("grub.cfg", menu)
    machine = start(Hardware(data=disk.path), 1200)
    confirmed(machine, 900)
    assert slot_of(machine) == "B"
    assert "is damaged: expected sha256" in machine.serial.text()
    switch_off(machine)
    assert disk.state()["fallback_reason"] == "not-confirmed-three-times"
    assert b"could not be prepared" in disk.get("failure.txt")


@pytest.mark.long
def test_a_slot_is_chosen_in_the_menu(start: Start, disk: Disk) -> None:
    machine = start(Hardware(data=disk.path, firmware="uefi"), MACHINE_SECONDS)
    for key, answer in (("", "other ways to start"), ("\t", "seconds to choose"), ("b", "press y within")):
        machine.serial.send(key)
        machine.serial.wait(answer, stretched(60))
    machine.serial.send("y")
    wait_booted(machine, BOOT_SECONDS)
    assert slot_of(machine) == "B"
    switch_off(machine)
    assert disk.state() == COMMITTED
