"""One running virtual machine: started, spoken to, and ended for certain."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from tasks.lib.errors import BuildError
from tasks.lib.process import die_with_parent, environment
from tasks.lib.vm import qemu
from tasks.lib.vm.accel import Acceleration
from tasks.lib.vm.hardware import HOST_PORT, LOOPBACK, Hardware, settings, uefi_options
from tasks.lib.vm.hostport import HostPort
from tasks.lib.vm.qmp import Monitor
from tasks.lib.vm.serial import Serial

MARKER = "[kubesolo-init] [OK] Stage 90-kubesolo.sh complete"
START_SECONDS = 30
QUIT_SECONDS = 5
KEY_MILLISECONDS = 20
CHANNELS = ("monitor", "serial", "hostport")


class Machine:
    """A context manager around QEMU. Power is on when the block is entered, QEMU has gone when it is left.

    hardware: what it consists of; forwards to port 0 get a free one (see port()).
    folder: where serial.log is kept. deadline: seconds after which QEMU is killed, whatever happens;
    None for a machine that a person ends.
    sink: gets the serial console's bytes, too.
    """

    monitor: Monitor
    serial: Serial
    host: HostPort

    def __init__(
        self,
        hardware: Hardware,
        accelerator: Acceleration,
        folder: Path,
        deadline: float | None,
        sink: Callable[[bytes], None] | None = None,
    ) -> None:
        forwards = {guest: host or free_port() for guest, host in hardware.forwards.items()}
        self.hardware = replace(hardware, forwards=forwards)
        self.accelerator = accelerator
        self.folder = folder
        self.deadline = deadline
        self.started = 0.0
        self._sink = sink
        self._scratch = Path()
        self._process: subprocess.Popen[bytes] | None = None
        self._watchdog: threading.Timer | None = None

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._scratch = Path(tempfile.mkdtemp(prefix="kubesolo-vm-"))
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _start(self) -> None:
        """Start QEMU stopped, connect its channels, then switch the power on."""
        pairs = {name: socket.socketpair() for name in CHANNELS}
        try:
            argv = self.command({name: pair[1].fileno() for name, pair in pairs.items()})
            with self.errors.open("wb") as errors:
                self._process = subprocess.Popen(
                    argv,
                    stdin=subprocess.DEVNULL,
                    stdout=errors,
                    stderr=errors,
                    env=environment(),
                    pass_fds=[pair[1].fileno() for pair in pairs.values()],
                    start_new_session=True,
                    preexec_fn=die_with_parent,
                )
        finally:
            for pair in pairs.values():
                pair[1].close()
        if self.deadline is not None:
            self._watchdog = threading.Timer(self.deadline, self._process.kill)
            self._watchdog.daemon = True
            self._watchdog.start()
        self.serial = Serial(pairs["serial"][0], self.folder / "serial.log", self._sink)
        self.host = HostPort(pairs["hostport"][0])
        try:
            self.monitor = Monitor(pairs["monitor"][0], START_SECONDS)
            self.monitor.execute("cont")
        except BuildError as error:
            self._process.kill()
            self._process.wait()
            raise BuildError(f"{error.what}: {self.complaint()}") from error
        self.started = time.monotonic()

    @property
    def errors(self) -> Path:
        """What QEMU itself printed."""
        return self._scratch / "qemu.log"

    def complaint(self) -> str:
        """The last words of QEMU itself, for messages."""
        text = self.errors.read_text(errors="replace") if self.errors.exists() else ""
        return text.strip()[-2000:] or "QEMU said nothing"

    def command(self, channels: dict[str, int]) -> list[str]:
        """QEMU's whole command line; channels: name to inherited file descriptor."""
        words = [*qemu.command(), *self.accelerator.options(), *self.hardware.options(), "-S"]
        for name, number in channels.items():
            words += ["-chardev", f"socket,id={name},fd={number}"]
        words += ["-mon", "chardev=monitor,mode=control", "-serial", "chardev:serial"]
        words += ["-device", "virtio-serial-pci", "-device"]
        words += [f"virtserialport,chardev=hostport,name={HOST_PORT}"]
        if self.hardware.append:
            file = self._scratch / "machine.cfg"
            file.touch(0o600)
            file.write_text(settings(self.hardware.append))
            words += ["-readconfig", str(file)]
        if self.hardware.firmware == "uefi":
            code, template = qemu.uefi_firmware()
            variables = self._scratch / "variables.fd"
            shutil.copyfile(template, variables)
            words += uefi_options(code, variables)
        return words

    def port(self, guest: int) -> int:
        """The host's port that leads to the guest's."""
        return self.hardware.forwards[guest]

    def running(self) -> bool:
        """Whether QEMU is still there."""
        return self._process is not None and self._process.poll() is None

    def wait_marker(self, timeout: float, start: int = 0) -> float:
        """Wait for the boot-success marker on the console; seconds on the wall clock since power-on.

        Raises BuildError when it does not come.
        """
        return self.serial.wait(MARKER, timeout, start) - self.started

    def wait_reset(self, timeout: float) -> None:
        """Wait until the guest has restarted itself."""
        self.monitor.wait_event(lambda event: event["event"] == "RESET", timeout)

    def wait_end(self, timeout: float) -> None:
        """Wait until the guest has switched itself off.

        Raises BuildError after `timeout` seconds.
        """
        if self._process is None:
            return
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired as error:
            raise BuildError(f"the machine is not off after {timeout:.0f} s\n{self.serial.tail()}") from error

    def type_text(self, text: str) -> None:
        """Press keys on the keyboard: small letters, digits, `-`, `.`, `=`, space and line end."""
        for character in text:
            key = {"type": "qcode", "data": KEYS.get(character, character)}
            self.monitor.execute("send-key", keys=[key], **{"hold-time": KEY_MILLISECONDS})
            time.sleep(3 * KEY_MILLISECONDS / 1000)

    def screenshot(self, file: Path) -> None:
        """Write the screen as PNG."""
        self.monitor.execute("screendump", filename=str(file), format="png")

    def close(self) -> None:
        """End QEMU: asked first, then killed; release everything."""
        if self._process and self._process.poll() is None:
            try:
                self.monitor.execute("quit")
                self._process.wait(QUIT_SECONDS)
            except (BuildError, AttributeError, subprocess.TimeoutExpired):
                self._process.kill()
        if self._process:
            self._process.wait()
        if self._watchdog:
            self._watchdog.cancel()
        if hasattr(self, "serial"):
            self.serial.close()
            self.host.close()
        if self._scratch.name:
            shutil.rmtree(self._scratch, ignore_errors=True)


KEYS = {"-": "minus", ".": "dot", "=": "equal", " ": "spc", "\n": "ret", ",": "comma", "/": "slash"}


def free_port(wanted: int = 0) -> int:
    """A TCP port of the loopback address that nobody listens on: the wanted one, or any.

    Raises BuildError when the wanted one is taken.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, wanted))
        except OSError as error:
            raise BuildError(
                f"port {wanted} is taken on this host", "end what uses it, or choose another"
            ) from error
        port: int = probe.getsockname()[1]
        return port


def alive(pid: int) -> bool:
    """Whether a process of this user exists."""
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True
