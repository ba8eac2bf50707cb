"""The two slots of the disk: which runs, and how the other one gets a new version.

The other slot always holds the old version, nothing that starts, or all of the new one: new files are written
beside the old ones, and the kernel goes first and comes last, as GRUB starts nothing without one.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from agent.durable import flush, write_file
from agent.update.errors import NoRoom, Refused, Unverified, UpdateError
from agent.update.fetch import digest, size_of
from agent.update.manifest import DIGEST, FILE_NAME, KERNEL, Manifest

NUMBERS = {"A": 2, "B": 3}
OTHER = {"A": "B", "B": "A"}
NEW = ".part"
LIST = "manifest.json"
WORK = "run/kubesolo/update"
MOUNTS = ("other", "running", "esp", "stick")
MOST_MOUNTS = 8
SECTOR = 512
RESERVE = 1.1
# e2fsck(8): less than this is mended or was whole.
E2FSCK_FAILED = 4
# As in tasks/diskimage.py.
SLOT_OPTIONS = ("-O", "^has_journal,^resize_inode", "-m", "0", "-N", "64")


@dataclass(frozen=True)
class Disk:
    """The disk that was booted: its name, the running slot, and the names of its partitions by number."""

    name: str
    running: str
    partitions: dict[int, str]

    @property
    def other(self) -> str:
        """The slot that does not run."""
        return OTHER[self.running]

    def device(self, slot: str) -> str:
        """The name of a slot's partition."""
        return self.partitions[NUMBERS[slot]]


def find_disk(root: Path) -> Disk:
    """The disk with slots that this node runs from; raises Refused when it does not."""
    kind, _, name = read(root / "run/kubesolo/medium").partition(" ")
    here = root / "sys/class/block" / name
    if kind != "disk" or not name:
        raise Refused("this node does not run from a disk with slots; install it to a disk first")
    disk = here.resolve().parent
    partitions = {}
    for path in disk.glob("*/partition"):
        if (number := read(path)).isdigit():
            partitions[int(number)] = path.parent.name
    number = read(here / "partition")
    running = {str(value): slot for slot, value in NUMBERS.items()}.get(number, "")
    if not running or not {1, 2, 3}.issubset(partitions):
        raise Refused(f"/dev/{name} is no slot of a disk with two slots")
    return Disk(disk.name, running, partitions)


def read(path: Path) -> str:
    """A file's text without line end; "" when it is not there."""
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def room(root: Path, disk: Disk, manifest: Manifest) -> None:
    """Refuse what does not fit into a slot with a tenth to spare; raises NoRoom."""
    sectors = read(root / "sys/class/block" / disk.device(disk.other) / "size")
    size = int(sectors or 0) * SECTOR
    need = int(manifest.size * RESERVE)
    if need > size:
        raise NoRoom(f"the update needs {need >> 20} MB, slot {disk.other} has {size >> 20} MB")


@contextmanager
def mounted(root: Path, device: str, name: str, *, write: bool) -> Iterator[Path]:
    """A slot's file system; raises UpdateError when it can not be mounted."""
    point = root / WORK / name
    os.makedirs(point, exist_ok=True)
    options = ("rw" if write else "ro,noload") + ",nosuid,nodev,noexec,noatime"
    path = str(root / "dev" / device)
    if run(["mount", "-t", "ext4", "-o", options, path, str(point)]):
        raise UpdateError(f"/dev/{device} cannot be mounted")
    try:
        yield point
    finally:
        run(["umount", str(point)])


def release(root: Path) -> None:
    """Unmount what an updater that was killed has left; without it, e2fsck would refuse the slot."""
    for name in MOUNTS:
        for _ in range(MOST_MOUNTS):
            if not os.path.ismount(root / WORK / name) or run(["umount", str(root / WORK / name)]):
                break


def prepare(root: Path, device: str, label: str) -> None:
    """A file system that can be written to: what a power cut has left is mended, else it is made anew."""
    path = str(root / "dev" / device)
    if run(["e2fsck", "-p", path]) < E2FSCK_FAILED:
        return
    if run(["mke2fs", "-q", "-F", "-t", "ext4", "-L", label, *SLOT_OPTIONS, path]):
        raise UpdateError(f"no file system can be made on /dev/{device}")


def run(command: list[str]) -> int:
    """The exit status of a program; what it says goes to the log."""
    return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=2, check=False).returncode


def part(folder: Path, name: str) -> Path:
    """Where a file is written first."""
    return folder / f"{name}{NEW}"


def make_room(folder: Path, manifest: Manifest) -> None:
    """Drop leftovers, and the old version too when both do not fit; raises NoRoom."""
    wanted = {f"{name}{NEW}" for name in manifest.files}
    for path in folder.iterdir():
        if path.name.endswith(NEW) and path.name not in wanted:
            path.unlink()
    need = sum(max(0, file.size - size_of(part(folder, name))) for name, file in manifest.files.items())
    if free(folder) > need * RESERVE:
        return
    drop_kernel(folder)
    for path in folder.iterdir():
        if path.is_file() and not path.name.endswith(NEW):
            path.unlink()
    if free(folder) <= need:
        raise NoRoom(f"slot has {free(folder) >> 20} MB free, the update needs {need >> 20} MB")


def free(folder: Path) -> int:
    """In bytes."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


def drop_kernel(folder: Path) -> None:
    """From now on GRUB does not start this slot."""
    (folder / KERNEL).unlink(missing_ok=True)
    sync(folder)


def sync(folder: Path) -> None:
    """All of the slot is on the disk, also what has no journal."""
    flush(str(folder))
    os.sync()


def switch(folder: Path, manifest: Manifest) -> None:
    """Make the written files the slot's content; may be cut at each of its steps."""
    drop_kernel(folder)
    for name in manifest.files:
        if name != KERNEL and part(folder, name).exists():
            os.replace(part(folder, name), folder / name)
    for path in folder.iterdir():
        if path.is_file() and path.name not in manifest.files and path != part(folder, KERNEL):
            path.unlink()
    write_file(str(folder / LIST), listing(manifest), 0o644)
    sync(folder)
    if part(folder, KERNEL).exists():
        os.replace(part(folder, KERNEL), folder / KERNEL)
    sync(folder)


def listing(manifest: Manifest) -> bytes:
    """manifest.json of a slot, as the image's builder writes it."""
    about = {
        "schema": 1,
        "name": "kubesolo-os",
        "version": manifest.version.text,
        "architecture": manifest.architecture,
        "files": {n: {"size": file.size, "sha256": file.sha256} for n, file in manifest.files.items()},
    }
    return (json.dumps(about, indent=2) + "\n").encode()


def held(folder: Path) -> tuple[str, dict[str, tuple[int, str]]]:
    """The version that a slot holds, and size and SHA-256 of its files; "" when that can not be told."""
    try:
        values = json.loads((folder / LIST).read_bytes())
        files = {
            name: (row["size"], row["sha256"])
            for name, row in values["files"].items()
            if FILE_NAME.fullmatch(name) and DIGEST.fullmatch(row["sha256"])
        }
        return str(values["version"]), files
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return "", {}


def verify(folder: Path) -> str:
    """The version that a slot holds, all of its files read; raises Unverified when one is not what it was."""
    version, files = held(folder)
    if not version or KERNEL not in files:
        raise Unverified("the slot does not say what it holds")
    for name, (count, sha256) in files.items():
        if size_of(folder / name) != count or digest(folder / name) != sha256:
            raise Unverified(f"{name} in the slot is damaged")
    return version
