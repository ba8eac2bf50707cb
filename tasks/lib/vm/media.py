"""Files taken out of an ISO, to start a machine from them without its boot loader."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pycdlib

from tasks.lib.boot.menu import INITRAMFS, KERNEL
from tasks.lib.errors import BuildError


@dataclass(frozen=True)
class BootFiles:
    """An ISO's own kernel and initramfs, as files."""

    kernel: Path
    initrd: Path


def boot_files(iso: Path, folder: Path, initramfs: str = INITRAMFS) -> BootFiles:
    """Copy an ISO's kernel and initramfs to a folder. initramfs: its path on the ISO.

    Raises BuildError when it is no such ISO.
    """
    files = BootFiles(folder / "vmlinuz", folder / "kubesolo-os.gz")
    folder.mkdir(parents=True, exist_ok=True)
    reader = pycdlib.PyCdlib()
    try:
        reader.open(str(iso))
        reader.get_file_from_iso(str(files.kernel), joliet_path=KERNEL)
        reader.get_file_from_iso(str(files.initrd), joliet_path=initramfs)
    except (pycdlib.pycdlibexception.PyCdlibException, OSError) as error:
        raise BuildError(f"{iso}: kernel and initramfs can not be read: {error}", "run ./doit iso") from error
    finally:
        if reader._initialized:
            reader.close()
    return files


def append_segment(initrd: Path, segment: Path, out: Path) -> None:
    """Write an initramfs with one more cpio segment at its end; its files replace earlier ones."""
    data = initrd.read_bytes()
    out.write_bytes(data + b"\0" * (-len(data) % 4) + segment.read_bytes())
