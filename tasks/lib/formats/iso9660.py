"""ISO 9660 images with Rock Ridge and Joliet names that boot by El Torito, through pycdlib."""

from __future__ import annotations

import posixpath
import re
import stat
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

from tasks.lib.errors import BuildError
from tasks.lib.formats.hybrid import SECTOR, Layout
from tasks.lib.formats.tree import Tree

if TYPE_CHECKING:
    import pycdlib

BLOCK = 2048
EFI_PLATFORM = 0xEF


@dataclass(frozen=True)
class Boot:
    """The files that firmware starts: a boot loader for BIOS, such as isolinux.bin, and a FAT image for UEFI.

    "" for none; without both, it is a medium with data alone.
    """

    bios: str
    efi: str


DATA = Boot("", "")


def write(tree: Tree, out: Path, label: str, boot: Boot, epoch: int) -> Layout:
    """Write the tree as an ISO; same tree, label and epoch, same bytes.

    epoch: the time of everything on the medium, in seconds since 1970. Returns where the boot files lie.
    Raises BuildError for entries other than files and folders.
    """
    import pycdlib

    with ExitStack() as stack:
        stack.enter_context(clock_stopped_at(epoch))
        iso = pycdlib.PyCdlib()
        iso.new(interchange_level=3, vol_ident=label, joliet=3, rock_ridge="1.09", app_ident_str=label)
        stack.callback(iso.close)
        names = iso_names(tree)
        for path, entry in tree.items():
            joliet, iso_path, name = f"/{path}", names[path], posixpath.basename(path)
            if entry.kind == "dir":
                iso.add_directory(iso_path, rr_name=name, joliet_path=joliet, file_mode=stat.S_IFDIR | 0o555)
            elif entry.kind == "file":
                stream = stack.enter_context(entry.open())
                mode = stat.S_IFREG | 0o444
                iso.add_fp(stream, entry.size(), iso_path, rr_name=name, joliet_path=joliet, file_mode=mode)
            else:
                raise BuildError(f"{path}: a {entry.kind} can not be put on an ISO here")
        add_boot(iso, names, boot)
        iso.write(str(out))
        return layout(iso, names, boot)


def add_boot(iso: pycdlib.PyCdlib, names: dict[str, str], boot: Boot) -> None:
    """The El Torito catalog: isolinux first, then UEFI (El Torito 1.0; UEFI 2.10, 13.3.2)."""
    if boot == DATA:
        return
    plain = posixpath.join(posixpath.dirname(names[boot.efi]), "BOOT.CAT;1")
    joliet = posixpath.join("/", posixpath.dirname(boot.efi), "boot.cat")
    first = partial(iso.add_eltorito, bootcatfile=plain, joliet_bootcatfile=joliet)
    if boot.bios:
        first(names[boot.bios], boot_load_size=4, boot_info_table=True)
        iso.add_eltorito(names[boot.efi], efi=True)
    else:
        first(names[boot.efi], platform_id=EFI_PLATFORM)


def layout(iso: pycdlib.PyCdlib, names: dict[str, str], boot: Boot) -> Layout:
    """Where the boot files of a written ISO lie."""
    if boot == DATA:
        return Layout(0, 0, 0)
    efi = iso.get_record(iso_path=names[boot.efi])
    scale = BLOCK // SECTOR
    bios = iso.get_record(iso_path=names[boot.bios]).extent_location() * scale if boot.bios else 0
    return Layout(bios, efi.extent_location() * scale, -(-efi.get_data_length() // SECTOR))


def iso_names(tree: Tree) -> dict[str, str]:
    """Plain ISO 9660 paths, level 3: capitals, digits, underscores, one dot; made unique by a number."""
    names = {"": ""}
    taken: set[str] = set()
    for path, entry in tree.items():
        parent, name = posixpath.split(path)
        stem, dot, suffix = name.rpartition(".") if entry.kind == "file" else (name, "", "")
        stem, suffix = (stem, suffix) if dot else (name, "")
        plain = re.sub(r"[^A-Z0-9_]", "_", stem.upper())[:24]
        tail = f".{re.sub(r'[^A-Z0-9_]', '_', suffix.upper())[:3]};1" if entry.kind == "file" else ""
        full = f"{names[parent]}/{plain}{tail}"
        count = 1
        while full in taken:
            count += 1
            full = f"{names[parent]}/{plain[:20]}{count:03}{tail}"
        taken.add(full)
        names[path] = full
    return names


@contextmanager
def clock_stopped_at(epoch: int) -> Iterator[None]:
    """Give pycdlib a clock that stands still in UTC; it has no parameter for the dates it writes."""
    from unittest import mock

    from pycdlib import dates, headervd, pycdlib, utils

    frozen = SimpleNamespace(
        time=lambda: float(epoch), localtime=time.gmtime, gmtime=time.gmtime, strftime=time.strftime
    )
    with ExitStack() as stack:
        for module in (pycdlib, headervd, dates, utils):
            stack.enter_context(mock.patch.object(module, "time", frozen))
        yield
