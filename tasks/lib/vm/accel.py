"""Which accelerator QEMU can use here: decided by a guest that really boots, not by a device that opens."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from tasks.lib.paths import cache_dir
from tasks.lib.process import die_with_parent, environment
from tasks.lib.vm import qemu

Name = Literal["kvm", "hvf", "tcg"]
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
KVM = Path("/dev/kvm")
PROBE_SECONDS = 20
# Real-mode code: write 0x10 to port 0x501, where isa-debug-exit ends QEMU with status 2 * 0x10 + 1.
BOOT_SECTOR = bytes.fromhex("ba0105 b010 ee f4 ebfd").ljust(510, b"\0") + b"\x55\xaa"
BOOT_SECTOR_STATUS = 33
# What a kernel without a root file system ends with; panic=-1 then restarts, and -no-reboot ends QEMU.
KERNEL_APPEND = "console=ttyS0 quiet panic=-1"
KERNEL_END = b"Unable to mount root fs"
INTERNAL_ERROR = b"KVM internal error"


@dataclass(frozen=True)
class Acceleration:
    """The accelerator and why it is that one."""

    name: Name
    reason: str

    def options(self) -> list[str]:
        """QEMU's options. Under emulation every vCPU has a thread; "max" gives AES and SHA instructions."""
        if self.name == "tcg":
            return ["-accel", "tcg,thread=multi", "-cpu", "max"]
        return ["-accel", self.name, "-cpu", "host"]


EMULATION = Acceleration("tcg", "asked for")


def acceleration(kernel: Path | None = None) -> Acceleration:
    """The best accelerator that boots a guest here; the verdict is kept until the host restarts.

    kernel: an x86 kernel to boot as the second, decisive probe; without one only a boot sector is run and
    the verdict is not kept.
    """
    native: Name = "hvf" if sys.platform == "darwin" else "kvm"
    if missing := obstacle(native):
        return Acceleration("tcg", missing)
    verdict = remembered()
    if verdict is None:
        verdict = probe(native, kernel)
        if kernel or verdict.name == "tcg":
            remember(verdict)
    return verdict


def obstacle(native: Name) -> str:
    """Why the accelerator need not even be tried, or ""."""
    if native == "hvf":
        return "" if os.uname().machine == "x86_64" else "the host has another architecture"
    if os.uname().machine != "x86_64":
        return "the host has another architecture"
    if not KVM.exists():
        return f"{KVM} does not exist"
    return "" if os.access(KVM, os.R_OK | os.W_OK) else f"{KVM} is not accessible to this user"


def probe(native: Name, kernel: Path | None) -> Acceleration:
    """Boot a sector, then the kernel, with the accelerator; fall back to emulation on any failure."""
    with tempfile.TemporaryDirectory(prefix="kubesolo-probe-") as folder:
        sector = Path(folder, "sector.img")
        sector.write_bytes(BOOT_SECTOR)
        common = [
            *qemu.command(),
            "-nodefaults",
            "-no-user-config",
            "-display",
            "none",
            "-no-reboot",
            "-smp",
            "2",
        ]
        common += ["-machine", "q35", *Acceleration(native, "").options()]
        words = ["-m", "64", "-drive", f"file={sector},format=raw,if=ide,readonly=off"]
        words += ["-device", "isa-debug-exit,iobase=0x501,iosize=1"]
        status, _ = run_guest([*common, *words], Path(folder, "output"))
        if status != BOOT_SECTOR_STATUS:
            return Acceleration("tcg", f"{native} opens, but a boot sector does not run with it")
        if kernel is None:
            return Acceleration(native, "a boot sector runs; a kernel was not tried")
        words = ["-m", "256", "-kernel", str(kernel), "-append", KERNEL_APPEND, "-serial", "stdio"]
        status, output = run_guest([*common, *words], Path(folder, "output"))
    if status == 0 and KERNEL_END in output:
        return Acceleration(native, "a probe guest boots")
    return Acceleration("tcg", f"{native} opens, but a probe guest does not boot with it")


def run_guest(argv: list[str], log: Path) -> tuple[int | None, bytes]:
    """Run QEMU for at most PROBE_SECONDS: its exit status (None: had to be killed) and its output."""
    with log.open("wb") as stream:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            env=environment(),
            preexec_fn=die_with_parent,
        )
        try:
            deadline = time.monotonic() + PROBE_SECONDS
            while process.poll() is None and time.monotonic() < deadline:
                if INTERNAL_ERROR in log.read_bytes():
                    break
                time.sleep(0.1)
            return process.poll(), log.read_bytes()
        finally:
            process.kill()
            process.wait()


def record() -> Path:
    """Where the verdict is kept."""
    return cache_dir() / "acceleration.json"


def boot_id() -> str:
    """What identifies this start of the host; "" where the system does not say."""
    return BOOT_ID.read_text().strip() if BOOT_ID.exists() else ""


def remembered() -> Acceleration | None:
    """The verdict of an earlier probe since the host started."""
    try:
        kept = json.loads(record().read_text())
        if not boot_id() or kept.pop("boot_id") != boot_id():
            return None
        return Acceleration(**kept)
    except (OSError, ValueError, TypeError, KeyError):
        return None


def remember(verdict: Acceleration) -> None:
    """Keep the verdict."""
    record().parent.mkdir(parents=True, exist_ok=True)
    scratch = record().with_suffix(f".{os.getpid()}")
    scratch.write_text(json.dumps({"boot_id": boot_id(), **asdict(verdict)}))
    scratch.rename(record())
