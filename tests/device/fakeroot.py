"""A folder that looks like a node's root to the boot scripts, which run in BusyBox's ash.

The shell prefers its own applets to programs on PATH, so fakes are shell functions that are sourced first:
each logs its arguments, then does what a test wants it to. Time is fake too: `sleep` moves /proc/uptime.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from tasks.lib.paths import TOP

# Seconds for what takes milliseconds, as the machine may have other things to do.
DEADLINE = 60
LOGGED = [
    "mount",
    "umount",
    "modprobe",
    "findfs",
    "e2fsck",
    "resize2fs",
    "ip",
    "udhcpc",
    "hwclock",
    "reboot",
    "poweroff",
    "sync",
    "setsid",
    "acpid",
    "timeout",
    "python3",
    "chroot",
]
# Logs the call, then does what a test wants the command to do, if anything.
FAKE = """
{name}() {{
    printf '%s\\n' "{name} $*" >>"$ROOT/calls"
    [ ! -e "$ROOT/fakes/{name}" ] || fake_{name} "$@"
}}
"""
# `sleep` costs fake time only: hundredths of a second are added to the uptime.
SLEEP = """
sleep() {
    case $1 in
    *.*) hundredths=${1#*.}0; hundredths=$((${1%.*} * 100 + 1${hundredths%${hundredths#??}} - 100)) ;;
    *) hundredths=$(($1 * 100)) ;;
    esac
    read -r up _ <"$ROOT/proc/uptime"
    up=$((${up%.*} * 100 + 1${up#*.} - 100 + hundredths))
    rest=$((up % 100))
    [ "$rest" -ge 10 ] || rest=0$rest
    echo "$((up / 100)).$rest 0.00" >"$ROOT/proc/uptime"
    [ ! -e "$ROOT/fakes/sleep" ] || fake_sleep
}
"""
FOLDERS = [
    "proc/sys/kernel/random",
    "sys/class/block",
    "sys/class/net",
    "sys/class/tty/console",
    "sys/fs/cgroup/init",
    "sys/bus/pci/devices",
    "dev",
    "etc/kubesolo",
    "etc/cni/net.d",
    "etc/sysctl.d",
    "opt/cni/bin",
    "run/kubesolo/etc",
    "mnt/data",
    "usr/lib",
    "usr/bin",
    "usr/sbin",
    "sbin",
    "bin",
    "var/log",
    "fakes",
    "tmp",
]


class FakeRoot:
    """A fake root at `path` and a way to run scripts in it; `busybox` is the node's own."""

    def __init__(self, path: Path, busybox: Path) -> None:
        self.path = path
        self.busybox = busybox
        for folder in FOLDERS:
            (path / folder).mkdir(parents=True)
        shutil.copytree(TOP / "init", path / "run/kubesolo-init")
        shutil.copytree(TOP / "overlay/usr/lib/kubesolo-os", path / "usr/lib/kubesolo-os", symlinks=True)
        self.write("proc/uptime", "5.00 1.00\n")
        self.write("proc/cmdline", "console=ttyS0\n")
        self.write("proc/mounts", "proc /proc proc rw 0 0\n")
        self.write("proc/modules", "")
        self.write("proc/sys/kernel/random/uuid", "01234567-89ab-cdef-0123-456789abcdef\n")
        self.write("usr/lib/os-release", "ID=kubesolo-os\nBUILD_EPOCH=1000\n")
        self.write("calls", "")
        self.write("fakes.sh", "".join(FAKE.format(name=name) for name in LOGGED) + SLEEP)

    def write(self, name: str, text: str) -> Path:
        """Write a file under the root, with its folders."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def be_well(self) -> None:
        """It has an address and a healthy payload, for which this process stands; it is up for 110 s."""
        self.write("run/kubesolo/address", "eth0 10.0.2.15\n")
        for name in ("run-payload", "payload"):
            self.write(f"run/kubesolo/{name}.pid", f"{os.getpid()}\n")
        self.write("run/kubesolo/payload.health", "100 ok\n")
        self.write("proc/uptime", "110.00 1.00\n")

    def program(self, name: str, text: str) -> Path:
        """An executable shell script under the root (run by the same BusyBox)."""
        path = self.write(name, f"#!{self.busybox} sh\n{text}")
        path.chmod(0o755)
        return path

    def fake(self, command: str, body: str) -> None:
        """Give a fake command a behaviour: shell text that sees the arguments and ends with its status."""
        self.write(f"fakes/{command}", f"fake_{command}() {{\n{body}\n}}\n")

    def read(self, name: str) -> str:
        """The text of a file under the root."""
        return (self.path / name).read_text()

    @property
    def calls(self) -> list[str]:
        """What the fake commands were called with, paths without the fake root."""
        return self.read("calls").replace(str(self.path), "").splitlines()

    def called(self, command: str) -> list[str]:
        """The calls of one command, without its name."""
        return [call[len(command) + 1 :] for call in self.calls if call.split()[0] == command]

    def shell(self, text: str, *args: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run shell text with the fakes in place; `environment` is added to ROOT and PATH."""
        fakes = "".join(f'. "$ROOT/fakes/{path.name}"\n' for path in (self.path / "fakes").iterdir())
        return subprocess.run(
            [self.busybox, "sh", "-c", f'. "$ROOT/fakes.sh"\n{fakes}{text}', "sh", *args],
            env={"ROOT": str(self.path), "PATH": os.defpath, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=False,
        )

    def stage(self, name: str) -> subprocess.CompletedProcess[str]:
        """Run a stage as the chain does: sourced, with -eu."""
        return self.shell('set -eu\n. "$ROOT/run/kubesolo-init/stages/$1.sh"', name)

    def script(self, name: str, *args: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run one of /usr/lib/kubesolo-os with the fakes in place."""
        return self.shell(f'. "$ROOT/usr/lib/kubesolo-os/{name}"', *args, **environment)

    def block_device(self, name: str, content: Path | None = None, size_kib: int = 65536) -> None:
        """A block device in /sys, and in /dev a copy of a disk image."""
        self.write(f"sys/class/block/{name}/size", f"{size_kib * 2}\n")
        if content is not None:
            shutil.copy(content, self.path / "dev" / name)

    def network_card(self, name: str, mac: str = "52:54:00:ab:cd:ef", carrier: str = "1") -> None:
        """A physical interface in /sys."""
        (self.path / "sys/class/net" / name / "device").mkdir(parents=True)
        self.write(f"sys/class/net/{name}/address", f"{mac}\n")
        self.write(f"sys/class/net/{name}/carrier", f"{carrier}\n")


def complete(name: str) -> str:
    """The line that a finished stage ends with."""
    return f"[kubesolo-init] [OK] Stage {name}.sh complete"
