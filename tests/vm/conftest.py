"""What the VM tests share: the products, the accelerator, and machines whose console is shown on failure."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from dodo import PRODUCTS, TARGET
from tasks.lib.paths import BUILD, TOP
from tasks.lib.release.product import named
from tasks.lib.vm.accel import Acceleration, acceleration
from tasks.lib.vm.hardware import Hardware
from tasks.lib.vm.kube import Cluster
from tasks.lib.vm.machine import Machine
from tasks.lib.vm.media import BootFiles, boot_files
from tasks.lib.vm.patience import stretched
from tasks.testimages import nginx
from tests.vm import evidence
from tests.vm.node import READY_SECONDS, wait_cluster

LOGS = BUILD / "test-logs"
CONSOLE_LINES = 80
OFF_SECONDS = 90

Start = Callable[[Hardware, float], Machine]
Picture = Callable[[Machine, str], None]
on = pytest.StashKey[list[Machine]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[on] = []


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the consoles of the machines that are on when a test fails, and what they can still tell."""
    report = yield
    if report.failed:
        for machine in item.config.stash[on]:
            title = f"console of {machine.folder.name}: {machine.serial.log}"
            report.sections.append((title, machine.serial.tail(CONSOLE_LINES)))
            report.sections.extend(evidence.keep(machine))
            if not machine.running():
                report.sections.append(("QEMU has ended", machine.complaint()))
    return report


def product(path: Path, task: str) -> Path:
    if not path.is_file():
        pytest.fail(f"{path} is missing: run ./doit {task}, or ./doit test, which does it", pytrace=False)
    return path


@pytest.fixture(scope="session")
def iso() -> Path:
    """The product itself, byte for byte."""
    return product(Path(os.environ.get("KUBESOLO_TEST_ISO", PRODUCTS[0].path)), PRODUCTS[0].task)


@pytest.fixture(scope="session")
def stub_iso() -> Path:
    """The same with a payload of a few lines of shell, for tests of the boot alone."""
    stub = named(PRODUCTS, "iso-stub")
    return product(Path(os.environ.get("KUBESOLO_TEST_STUB_ISO", stub.path)), stub.task)


@pytest.fixture(scope="session")
def stub_disk() -> Path:
    """The disk image with that payload; tests work on copies."""
    stub = named(PRODUCTS, "disk-image-stub")
    return product(Path(os.environ.get("KUBESOLO_TEST_STUB_DISK", stub.path)), stub.task)


@pytest.fixture(scope="session")
def disk_image() -> Path:
    """The disk image itself; tests work on copies."""
    made = named(PRODUCTS, "disk-image")
    return product(made.path, made.task)


@pytest.fixture(scope="session")
def live_iso() -> Path:
    """The Kubernetes Live CD."""
    made = named(PRODUCTS, "live-iso")
    return product(Path(os.environ.get("KUBESOLO_TEST_LIVE_ISO", made.path)), made.task)


@pytest.fixture(scope="session")
def stub_initramfs(stub_files: BootFiles) -> bytes:
    """What its kernel starts from."""
    return stub_files.initrd.read_bytes()


@pytest.fixture(scope="session")
def nginx_archive() -> Path:
    return product(nginx(TARGET), "test-images")


@pytest.fixture(scope="session")
def stub_files(stub_iso: Path, tmp_path_factory: pytest.TempPathFactory) -> BootFiles:
    """Kernel and initramfs of the stub ISO."""
    return boot_files(stub_iso, tmp_path_factory.mktemp("stub"))


@pytest.fixture(scope="session")
def accelerator(stub_files: BootFiles) -> Acceleration:
    """KVM or HVF when the product's own kernel boots with it, else emulation."""
    return acceleration(stub_files.kernel)


@pytest.fixture(scope="module")
def start_shared(request: pytest.FixtureRequest, accelerator: Acceleration) -> Iterator[Start]:
    """Starts machines that all tests of a module share; they end with the module."""
    yield from starter(request, accelerator, request.node.name)


@pytest.fixture
def start(request: pytest.FixtureRequest, accelerator: Acceleration) -> Iterator[Start]:
    """Starts machines that end with the test."""
    yield from starter(request, accelerator, f"{request.module.__name__}-{request.node.name}")


def starter(request: pytest.FixtureRequest, accelerator: Acceleration, name: str) -> Iterator[Start]:
    machines = request.config.stash[on]
    mine: list[Machine] = []
    with ExitStack() as stack:

        def start(hardware: Hardware, deadline: float) -> Machine:
            folder = LOGS / re.sub(r"[^A-Za-z0-9_.-]+", "-", name.rpartition("/")[2])
            if beside := sum(machine.running() for machine in mine):
                folder = folder.with_name(f"{folder.name}-{beside + 1}")
            machine = Machine(hardware, accelerator, folder, deadline)
            mine.append(stack.enter_context(machine))
            machines.append(machine)
            return machine

        yield start
    for machine in mine:
        machines.remove(machine)


@pytest.fixture(scope="module")
def cluster(machine: Machine) -> Iterator[Cluster]:
    """The API of the machine that the module's tests share; it takes pods."""
    client = wait_cluster(machine, READY_SECONDS)
    yield client
    client.close()


@pytest.fixture
def picture(request: pytest.FixtureRequest) -> Picture:
    """Keeps a machine's screen beside its console, and with --write-pictures in docs/images."""

    def take(machine: Machine, name: str) -> None:
        file = machine.folder / f"{name}.png"
        machine.screenshot(file)
        if request.config.getoption("--write-pictures"):
            shutil.copyfile(file, TOP / "docs" / "images" / file.name)

    return take


def start_again(start: Start, machine: Machine, deadline: float) -> Machine:
    """Switch a machine off in order and on again: the same disk, the same ports, another QEMU.

    A node that resets itself is in test_node.py. Elsewhere that is no part of what is tested, and an emulated
    second processor at times gets no timer after a warm reset.
    """
    machine.host.ask("poweroff")
    machine.wait_end(stretched(OFF_SECONDS))
    return start(machine.hardware, deadline)
